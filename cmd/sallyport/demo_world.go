package main

import (
	"context"
	_ "embed" // demo.yaml
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/deploy"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
	"github.com/sallyport/sallyport/pkg/telemetry"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

//go:embed demo.yaml
var demoConfig string

// The ports of deploy/envoy/envoy.yaml.
const (
	ingressPort   = 10000
	upstreamPort  = 8080
	sallyportPort = 9191
	adminPort     = 9192
	envoyPort     = 9901 // of its admin listener
)

// A world is everything that the demo starts.
type world struct {
	users, workloads *tokentest.Issuer
	url              string      // where requests go
	client           http.Client // through Envoy, or as Envoy would
	decisions        chan observation

	stops []func() error
}

// An observation is a decision and the trace that it belongs to.
type observation struct {
	record  *authz.Record
	traceID string
}

// Record implements [authz.Recorder].
func (w *world) Record(ctx context.Context, record *authz.Record) error {
	select {
	case w.decisions <- observation{record, telemetry.TraceID(ctx)}:
	default: // nobody looks any more
	}
	return nil
}

// startWorld starts everything, with its files in dir, or in one that is removed at the end, and says
// so on out, line by line.
func startWorld(ctx context.Context, out io.Writer, envoy, dir string) (*world, error) {
	w := &world{decisions: make(chan observation, 1000), client: http.Client{Timeout: 10 * time.Second}}
	files := dir
	if dir == "" {
		var err error
		if files, err = os.MkdirTemp("", "sallyport-demo-"); err != nil {
			return nil, err
		}
		w.stops = append(w.stops, func() error { return os.RemoveAll(files) })
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := w.start(ctx, out, envoy, files); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func (w *world) start(ctx context.Context, out io.Writer, envoy, dir string) error {
	said := func(what, where string) { fmt.Fprintf(out, "  %-10s %s\n", what, where) }

	fmt.Fprintln(out, "Starting on loopback:")
	if err := w.startIssuers(); err != nil {
		return err
	}
	said("issuers", w.users.URL+" of users' tokens, "+w.workloads.URL+" of workloads'")
	ports, err := freePorts(ctx, ingressPort, upstreamPort, sallyportPort, adminPort, envoyPort)
	if err != nil {
		return err
	}
	if err := w.startUpstream(ctx, ports[upstreamPort]); err != nil {
		return err
	}
	said("upstream", "http://"+envoytest.Loopback(ports[upstreamPort])+", echoes what reaches it")
	if err := w.startSallyport(ctx, dir, ports); err != nil {
		return err
	}
	said("sallyport", envoytest.Loopback(ports[sallyportPort])+", with "+filepath.Join(dir, "sallyport.yaml")+"; it records in decisions.ndjson beside")
	if envoy == "" {
		return w.withoutEnvoy(out, ports)
	}
	said("envoy", envoy+" starts …")
	if err := w.startEnvoy(ctx, envoy, dir, ports); err != nil {
		return err
	}
	said("envoy", w.url+", with deploy/envoy/envoy.yaml; its access log is "+filepath.Join(dir, "envoy.log"))
	return nil
}

// stop ends what was started, last first.
func (w *world) stop() error {
	var errs []error
	for _, stop := range slices.Backward(w.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

func (w *world) startIssuers() (err error) {
	for _, issuer := range []**tokentest.Issuer{&w.users, &w.workloads} {
		if *issuer, err = tokentest.New(tokentest.Config{Algorithms: []string{"RS256", "ES256"}}); err != nil {
			return err
		}
		w.stops = append(w.stops, (*issuer).Close)
	}
	return nil
}

// freePorts maps the usual ports to themselves, or to free ones where others have taken them.
func freePorts(ctx context.Context, usual ...int) (map[int]int, error) {
	ports := make(map[int]int, len(usual))
	for _, port := range usual {
		ports[port] = port
		var config net.ListenConfig
		if listener, err := config.Listen(ctx, "tcp", envoytest.Loopback(port)); err == nil {
			listener.Close()
			continue
		}
		var err error
		if ports[port], err = envoytest.FreePort(ctx); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

// An echo is what reached the upstream.
type echo struct {
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Headers http.Header `json:"headers"`
	Body    string      `json:"body,omitempty"`
}

func (w *world) startUpstream(ctx context.Context, port int) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", envoytest.Loopback(port))
	if err != nil {
		return err
	}
	upstream := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
			return
		}
		w.Header().Set("content-type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(echo{Method: r.Method, Path: r.RequestURI, Headers: r.Header, Body: string(body)}) // the client is gone
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = upstream.Serve(listener) // always an error: that it was closed
	}()
	w.stops = append(w.stops, func() error {
		err := upstream.Close()
		<-done
		return err
	})
	return nil
}

// startSallyport serves the demo's configuration as "sallyport serve" would.
func (w *world) startSallyport(ctx context.Context, dir string, ports map[int]int) error {
	text := strings.NewReplacer(
		"{GRPC}", envoytest.Loopback(ports[sallyportPort]), "{ADMIN}", envoytest.Loopback(ports[adminPort]),
		"{LOG}", filepath.Join(dir, "decisions.ndjson"),
		"{USERS}", w.users.URL, "{WORKLOADS}", w.workloads.URL).Replace(demoConfig)
	file := filepath.Join(dir, "sallyport.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	// What is stopped first must not end with ctx: Envoy still asks while it is stopped.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l, err := build(ctx, cfg, environment{
		logger: slog.New(slog.DiscardHandler), recorders: authz.Recorders{w}, traced: true,
	})
	if err != nil {
		cancel()
		return err
	}
	done := make(chan error, 1)
	go func() { done <- l.run(ctx) }()
	w.stops = append(w.stops, func() error { cancel(); return <-done })
	return nil
}

func (w *world) startEnvoy(ctx context.Context, binary, dir string, ports map[int]int) error {
	log, err := os.Create(filepath.Join(dir, "envoy.log"))
	if err != nil {
		return err
	}
	w.stops = append(w.stops, log.Close)
	process, err := envoytest.Start(context.WithoutCancel(ctx), envoytest.Options{
		Binary: binary, Config: deploy.Envoy, Ports: ports, Admin: envoyPort, Log: log,
	})
	if err != nil {
		text, _ := os.ReadFile(log.Name()) // it explains err, and is not needed for it
		return fmt.Errorf("%w\n%s", err, text)
	}
	w.stops = append(w.stops, process.Stop)
	w.url = "http://" + envoytest.Loopback(ports[ingressPort])
	return nil
}

func (w *world) withoutEnvoy(out io.Writer, ports map[int]int) error {
	conn, err := grpc.NewClient(envoytest.Loopback(ports[sallyportPort]), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	w.stops = append(w.stops, conn.Close)
	w.url = "http://" + envoytest.Loopback(ports[upstreamPort])
	w.client.Transport = &envoytest.Client{Sallyport: conn, Upstream: envoytest.Loopback(ports[upstreamPort])}
	fmt.Fprint(out, "\nThere is NO ENVOY: set ENVOY=/path/to/envoy, or run ./hack/demo, which fetches one.\n"+
		"The tour is asked of Sallyport directly, over gRPC, as Envoy would ask.\n")
	return nil
}
