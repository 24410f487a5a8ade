package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
)

// A contender is a server under measurement, in a process of its own.
type contender struct {
	name    string
	decides bool // whether it looks at the request at all
	command []string
	renew   func(p *os.Process) error // makes the running server read the data again; nil: it watches
	logs    string                    // its decision log, removed after each mix
	limits  string                    // in the configuration of Sallyport
	over    transport                 // of Sallyport; the zero value is TCP

	process *exec.Cmd
	address string
}

// contenders are Sallyport and who it is measured against; the first is the measure.
func contenders(w *world, sallyport string, profiles string) ([]*contender, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	serve := []string{sallyport, "serve", "--config", filepath.Join(w.dir, "sallyport.yaml")}
	if profiles != "" {
		serve = append(serve, "--cpuprofile", filepath.Join(profiles, "cpu.pprof"), "--memprofile", filepath.Join(profiles, "mem.pprof"))
	}
	return []*contender{
		{name: "empty", command: []string{self, "serve-empty"}},
		{name: "usual", decides: true, command: []string{self, "serve-usual", filepath.Join(w.dir, "usual")},
			renew: func(p *os.Process) error { return p.Signal(syscall.SIGHUP) }},
		{name: "sallyport", decides: true, command: serve, logs: filepath.Join(w.dir, "decisions.ndjson"),
			limits: "{wait: 1m}"},
	}, nil
}

// sallyportConfig is what `serve` runs with: the log to a file, telemetry at its default. Only where
// overload is measured is a check turned away; elsewhere all servers let checks wait.
const sallyportConfig = `listen: {grpc: "%s", admin: "127.0.0.1:%d", drain: {delay: 0s}%s}
request: {timeout: 30s}
jwt:
  rules:
  - name: users
    issuer: %s
    audiences: [%s]
    jwks: '%s'
policy:
  files: [sallyport]
limits: %s
decisionLog: {stdout: false, file: %s}
`

// start runs the server and waits until it accepts connections.
func (c *contender) start(ctx context.Context, w *world) error {
	address, err := c.over.address(w.dir)
	if err != nil {
		return err
	}
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	_, port, _ := strings.Cut(admin, ":")
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	config := fmt.Sprintf(sallyportConfig, address, number, c.over.settings(), issuerURL, audience, w.jwks(), c.limits, filepath.Base(c.logs))
	if err := os.WriteFile(filepath.Join(w.dir, c.name+".yaml"), []byte(config), 0o600); err != nil {
		return err
	}
	c.address = address
	arguments := c.command[1:]
	if c.logs == "" {
		arguments = append(arguments[:len(arguments):len(arguments)], address)
	}
	c.process = exec.CommandContext(ctx, c.command[0], arguments...)
	messages, err := os.Create(filepath.Join(w.dir, c.name+".log"))
	if err != nil {
		return err
	}
	defer messages.Close()
	c.process.Stderr = messages
	if err := c.process.Start(); err != nil {
		return err
	}
	return c.await(ctx, messages.Name())
}

func (c *contender) await(ctx context.Context, log string) error {
	for range 200 {
		conn, err := c.over.dial(ctx, c.address)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	text, _ := os.ReadFile(log)
	return fmt.Errorf("%s does not listen after 10 s: %s", c.name, text)
}

// stop ends the server, and takes away what it logged.
func (c *contender) stop() error {
	if err := c.process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := c.process.Wait()
	if c.logs != "" {
		return errors.Join(err, os.Remove(c.logs))
	}
	return err
}

// cpu is the processor time that the server has used so far, user and system.
func (c *contender) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses; utime and stime are the 14th and 15th (proc(5)).
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	const ticksPerSecond = 100 // USER_HZ, on every Linux that Go runs on
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// resident is the memory that the server holds, in bytes.
func (c *contender) resident() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", c.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// connections dials as an Envoy of two worker threads does.
func (c *contender) connections() ([]*grpc.ClientConn, error) {
	credentials, err := c.over.credentials()
	if err != nil {
		return nil, err
	}
	var out []*grpc.ClientConn
	for range 2 {
		conn, err := grpc.NewClient(c.address, grpc.WithTransportCredentials(credentials),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(raw{})))
		if err != nil {
			return nil, err
		}
		out = append(out, conn)
	}
	return out, nil
}

func closeAll[C io.Closer](closers []C) error {
	var errs []error
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
