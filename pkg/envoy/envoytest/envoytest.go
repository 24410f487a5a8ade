// Package envoytest has the two ways to ask a Sallyport: through a real Envoy ([Start]), and as
// Envoy would, where there is none ([Client]). Tests and the demo use it.
package envoytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options say which Envoy to start, and on what.
type Options struct {
	Binary string            // path of the envoy binary
	Config string            // bootstrap, in YAML
	Ports  map[int]int       // port in Config → port to use instead
	Admin  int               // port in Config of the admin listener
	Log    io.Writer         // access log and messages; nil discards them
	Files  map[string]string // path in Config → path to use instead
}

// A Process is a running Envoy.
type Process struct {
	Ports map[int]int // as given, each port of Config named

	command *exec.Cmd
	dir     string
	done    chan struct{}
	err     error // of the process; read after done
}

// Start runs an Envoy until ctx ends, and waits until it serves.
func Start(ctx context.Context, o Options) (*Process, error) {
	dir, file, err := o.write()
	if err != nil {
		return nil, err
	}
	p := &Process{Ports: o.Ports, dir: dir, done: make(chan struct{})}
	// A base id of its own lets several Envoys run on one machine. Its access log would otherwise
	// come every ten seconds.
	p.command = exec.CommandContext(ctx, o.Binary, "-c", file, "--use-dynamic-base-id", //nolint:gosec // the caller's binary
		"--concurrency", "1", "--log-level", "warning", "--drain-time-s", "1", "--file-flush-interval-msec", "50")
	p.command.Stdout, p.command.Stderr = o.Log, o.Log
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	p.command.WaitDelay = 5 * time.Second
	if err := p.command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("envoytest: start Envoy: %w", err), os.RemoveAll(dir))
	}
	go func() {
		p.err = p.command.Wait()
		close(p.done)
	}()
	if err := p.ready(ctx, o.port(o.Admin)); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// Validate lets Envoy say whether it accepts a bootstrap, without starting it.
func Validate(ctx context.Context, o Options) error {
	dir, file, err := o.write()
	if err != nil {
		return err
	}
	text, err := exec.CommandContext(ctx, o.Binary, "--mode", "validate", "-c", file).CombinedOutput() //nolint:gosec // the caller's binary
	if err != nil {
		err = fmt.Errorf("envoytest: Envoy does not accept the bootstrap: %w\n%s", err, text)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

// Stop ends the Envoy and waits for it.
func (p *Process) Stop() error {
	select {
	case <-p.done:
	default:
		if err := p.command.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("envoytest: stop Envoy: %w", err)
		}
	}
	<-p.done
	return os.RemoveAll(p.dir)
}

// ready waits for the admin listener to say that the listeners and clusters are there.
func (p *Process) ready(ctx context.Context, admin int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	url := "http://" + Loopback(admin) + "/ready"
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("envoytest: Envoy ended while it started: %w", p.err)
		case <-ctx.Done():
			return fmt.Errorf("envoytest: Envoy is not ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// write puts the bootstrap into a file of a new directory.
func (o Options) write() (dir, file string, err error) {
	dir, err = os.MkdirTemp("", "sallyport-envoy-")
	if err != nil {
		return "", "", fmt.Errorf("envoytest: %w", err)
	}
	file = filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(file, []byte(o.text()), 0o600); err != nil {
		return "", "", errors.Join(fmt.Errorf("envoytest: %w", err), os.RemoveAll(dir))
	}
	return dir, file, nil
}

// text is Config with the ports and files to use.
func (o Options) text() string {
	var pairs []string
	for was, is := range o.Ports {
		pairs = append(pairs, fmt.Sprintf("port_value: %d}", was), fmt.Sprintf("port_value: %d}", is))
	}
	for was, is := range o.Files {
		pairs = append(pairs, was, is)
	}
	return strings.NewReplacer(pairs...).Replace(o.Config)
}

func (o Options) port(was int) int {
	if is, ok := o.Ports[was]; ok {
		return is
	}
	return was
}

// Loopback is the address of a port on this machine.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// FreePort is a TCP port that was free on loopback a moment ago. It lies below the ports that the
// kernel gives to outgoing connections, one of which would otherwise take it before Envoy does.
func FreePort(ctx context.Context) (int, error) {
	const lowest, count = 20000, 12000
	var config net.ListenConfig
	var err error
	for range 100 {
		port := lowest + rand.IntN(count) //nolint:gosec // no secret
		var listener net.Listener
		if listener, err = config.Listen(ctx, "tcp", Loopback(port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("envoytest: no free port: %w", err)
}
