package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// A reloading server has a file that the test writes, and a clock of looks that it turns.
type reloading struct {
	*reloader
	conn  *grpc.ClientConn
	token string
}

// template says all that changes: in the policy, at the first door, and in neither.
const template = `
listen: {grpc: "127.0.0.1:0", admin: "127.0.0.1:0", drain: {delay: 0s}}
request: {timeout: 5s}
jwt:
  leeway: %ds
  rules: [{issuer: %s, audiences: [orders], jwksUri: %s/jwks}]
policy:
  data: {generation: %d, routes: [{path: /orders, tokens: [default]}]}
limits: {checks: %d}
decisionLog: {stdout: false, file: %s}
`

func startReloading(t *testing.T) (r *reloading, write func(generation int)) {
	t.Helper()
	issuer, err := tokentest.New(tokentest.Config{Algorithms: []string{"ES256"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { issuer.Close() })
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	write = func(n int) {
		// Of four generations one changes the policy, one the first door, one the log, one all.
		text := fmt.Sprintf(template, 30+(n+2)/4, issuer.URL, issuer.URL, (n+3)/4, 4000+n, filepath.Join(filepath.Dir(file), fmt.Sprint("log", (n+1)/4)))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	l, conn := running(t, cfg)
	l.reloader.file = file // which only the test looks at
	r = &reloading{reloader: l.reloader, conn: conn}
	if r.token, err = issuer.Token("orders", nil); err != nil {
		t.Fatal(err)
	}
	return r, write
}

// check asks once; an allow is wanted.
func (r *reloading) check(ctx context.Context) error {
	answer, err := auth.NewAuthorizationClient(r.conn).Check(ctx, &auth.CheckRequest{
		Attributes: &auth.AttributeContext{Request: &auth.AttributeContext_Request{
			Http: &auth.AttributeContext_HttpRequest{
				Method: "GET", Path: "/orders", Headers: map[string]string{"authorization": "Bearer " + r.token},
			},
		}},
	})
	if err == nil && answer.GetStatus().GetCode() != 0 {
		err = fmt.Errorf("denied: %v", answer)
	}
	return err
}

// Fifty reloads under load touch no check and lose no record, and every part of the old stages is
// closed.
func TestReloadUnderLoad(t *testing.T) {
	r, write := startReloading(t)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	var checks atomic.Int64
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := r.check(context.Background()); err != nil {
					t.Errorf("a check during reloads: %v", err)
					return
				}
				checks.Add(1)
			}
		})
	}
	var goroutines int
	for n := range 50 {
		if n == 10 {
			goroutines = runtime.NumGoroutine()
		}
		write(n + 1)
		r.look(t.Context())
		if err := r.trouble(); err != nil {
			t.Fatal(err)
		}
	}
	if n := runtime.NumGoroutine(); n > goroutines+10 {
		t.Errorf("%d goroutines after 50 reloads, %d after 10", n, goroutines)
	}
	close(stop)
	clients.Wait()
	if n := r.accepts.Load(); n != 50 {
		t.Errorf("%d reloads", n)
	}
	until(t, "every check has a record", func() bool { return r.records(t) == int(checks.Load()) })
	t.Logf("%d checks during 50 reloads", checks.Load())
}

// What does not change stays: its caches too.
func TestReloadKeepsWhatIsTheSame(t *testing.T) {
	r, write := startReloading(t)
	for n, want := range []struct{ engine, verifier, log bool }{
		{true, false, false}, {false, true, false}, {false, false, true}, {false, false, false},
	} {
		before := r.line.stages()
		write([]int{1, 2, 3, 4}[n])
		r.look(t.Context())
		after := r.line.stages()
		if after == before {
			t.Fatalf("generation %d was not taken over: %v", n+1, r.trouble())
		}
		got := struct{ engine, verifier, log bool }{after.engine != before.engine, after.verifier != before.verifier, after.log != before.log}
		if got != want {
			t.Errorf("generation %d: new are %+v, want %+v", n+1, got, want)
		}
	}
}

// A file that asks for an issuer that is down changes nothing for the users of the others; once the
// issuer is there it is taken over, without another change.
func TestReloadWaitsForKeys(t *testing.T) {
	r, _ := startReloading(t)
	var up atomic.Bool
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		key, err := tokentest.NewKey("k", "ES256", "")
		if err != nil {
			t.Error(err)
			return
		}
		if err := json.NewEncoder(w).Encode(tokentest.KeySet(key)); err != nil {
			t.Error(err)
		}
	}))
	defer issuer.Close()
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	rule := fmt.Sprintf("\n  - {name: other, issuer: 'https://other.example.com', audiences: [x], jwksUri: '%s', fromHeaders: [{name: x-other}]}", issuer.URL)
	changed := strings.Replace(strings.Replace(string(text), "rules: [{", "rules:\n  - {name: default, ", 1), "}]\npolicy", "}"+rule+"\npolicy", 1)
	if err := os.WriteFile(r.file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	before := r.line.stages()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r.look(ctx)
	if err := r.trouble(); err == nil || !strings.Contains(err.Error(), "https://other.example.com") || r.line.stages() != before {
		t.Errorf("an issuer that is down: %v", err)
	}
	if err := r.check(t.Context()); err != nil {
		t.Error(err)
	}
	up.Store(true)
	for range retryLooks {
		r.look(t.Context())
	}
	if err := r.trouble(); err != nil || r.line.stages() == before {
		t.Errorf("an issuer that is up: %v", err)
	}
	if err := r.check(t.Context()); err != nil {
		t.Error(err)
	}
}

// What needs a restart stays as it is, and is warned of again at the next change.
func TestReloadOfListeners(t *testing.T) {
	r, _ := startReloading(t)
	was := r.line.stages().cfg.Listen.GRPC
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.file, []byte(strings.Replace(string(text), "127.0.0.1:0", "127.0.0.1:1", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	r.look(t.Context())
	if got := r.line.stages().cfg.Listen.GRPC; got != was || r.trouble() != nil {
		t.Errorf("the listener is said to be %v; %v", got, r.trouble())
	}
	next, err := config.Load(r.file)
	if err != nil {
		t.Fatal(err)
	}
	if changes := r.line.stages().cfg.Diff(next); len(changes) != 1 || !changes[0].Restart {
		t.Errorf("still to come: %v", changes)
	}
}

// Open listeners are warned of at every start, each by its own name.
func TestWarnOpen(t *testing.T) {
	for name, tc := range map[string]struct {
		file string
		want []string
	}{
		"loopback":   {"", nil},
		"sockets":    {"listen: {grpc: unix:///run/a, admin: unix:///run/b}", nil},
		"grpc":       {"listen: {grpc: ':9191', insecure: true}", []string{"listen.insecure"}},
		"admin":      {"listen: {admin: ':9192', insecureAdmin: true}", []string{"listen.insecureAdmin"}},
		"server TLS": {"listen: {grpc: ':9191', insecure: true, tls: {certFile: testdata/cases.yaml, keyFile: testdata/cases.yaml}}", []string{"listen.insecure"}},
		"mutual TLS": {"listen: {grpc: ':9191', tls: {certFile: testdata/cases.yaml, keyFile: testdata/cases.yaml, clientCAFile: testdata/cases.yaml}}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Parse("sallyport.yaml", []byte(tc.file))
			if err != nil {
				t.Fatal(err)
			}
			messages := newOutput()
			warnOpen(cfg, slog.New(slog.NewTextHandler(messages, nil)))
			if n := strings.Count(messages.String(), "level=WARN"); n != len(tc.want) {
				t.Errorf("%d warnings: %s", n, messages)
			}
			for _, want := range tc.want {
				if !strings.Contains(messages.String(), want+":") {
					t.Errorf("no %s in %s", want, messages)
				}
			}
		})
	}
}
