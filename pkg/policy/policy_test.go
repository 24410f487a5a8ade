package policy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// engine makes an engine of one module, whose text begins after the package.
func engine(t testing.TB, rules string) *policy.Engine {
	t.Helper()
	return configured(t, rules, policy.Config{})
}

func configured(t testing.TB, rules string, config policy.Config) *policy.Engine {
	t.Helper()
	config.Default = fstest.MapFS{"policy.rego": {Data: []byte("package envoy.authz\n\n" + rules)}}
	e, err := policy.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// write puts files into a new directory. A name that ends in "/" is not needed: directories are made.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func get(t testing.TB, rawPath string) *authz.Request {
	t.Helper()
	path, err := authz.ParsePath(rawPath)
	if err != nil {
		t.Fatal(err)
	}
	return &authz.Request{HTTP: &authz.HTTP{Method: "GET", Path: path, Headers: authz.Headers{}}}
}

// endless takes far longer than any test; only the deadline ends it.
const endless = `allow if {
	input.version
	some a in numbers.range(1, 10000)
	some b in numbers.range(1, 10000)
	a * b == -1
}`

func TestDecideStopsAtTheDeadline(t *testing.T) {
	e := engine(t, endless)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() {
		_, err := e.Decide(ctx, get(t, "/"), authz.Identity{})
		done <- err
	}()
	cancel(errors.New("test"))
	if err := <-done; authz.ReasonOf(err) != authz.Timeout || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want a timeout that wraps the context's", err)
	}
}

func TestDecideStopsDuringEvaluation(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := engine(t, endless).Decide(ctx, get(t, "/"), authz.Identity{})
	if authz.ReasonOf(err) != authz.Timeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a timeout", err)
	}
}

func TestDecideSeesTheClock(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	e := configured(t, `allow if time.now_ns() == 1795435200000000000`, policy.Config{Now: func() time.Time { return now }})
	if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); err != nil || !d.Allowed {
		t.Errorf("got %+v, %v, want an allow", d, err)
	}
}

func TestDecideIgnoresPrint(t *testing.T) {
	e := engine(t, "allow if {\n\tprint(\"seen\", input.nothing)\n\tprint(1)\n}")
	if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); err != nil || !d.Allowed {
		t.Errorf("got %+v, %v, want an allow", d, err)
	}
}

func TestRuntimeTellsNothing(t *testing.T) {
	t.Setenv("SALLYPORT_SECRET", "secret")
	e := engine(t, `allow := {"allowed": true, "dynamic_metadata": opa.runtime()}`)
	d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{}, d.Metadata); diff != "" {
		t.Errorf("opa.runtime (-want +got):\n%s", diff)
	}
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name   string
		rules  string
		config policy.Config
		want   []string
	}{
		{name: "a syntax error", rules: "allow if {", want: []string{"policy.rego:3", "rego_parse_error"}},
		{name: "an unknown function", rules: "allow if f(1)", want: []string{"policy.rego:3", "undefined function f"}},
		{
			name:  "every mistake at once",
			rules: "allow if f(1)\n\nb if g(1)",
			want:  []string{"policy.rego:3", "undefined function f", "policy.rego:5", "undefined function g"},
		},
		{
			name:  "http.send",
			rules: `allow if http.send({"method": "GET", "url": "https://example.com"}).status_code == 200`,
			want:  []string{"policy.rego:3", "http.send uses the network, which policies must not"},
		},
		{
			name:  "net.lookup_ip_addr",
			rules: `allow if count(net.lookup_ip_addr("example.com")) > 0`,
			want:  []string{"policy.rego:3", "net.lookup_ip_addr uses the network"},
		},
		{
			name:   "an entrypoint that is no rule",
			rules:  "allow := true",
			config: policy.Config{Entrypoint: "envoy/authz/result"},
			want:   []string{"the entrypoint data.envoy.authz.result is no rule of the policy"},
		},
		{
			name:   "an entrypoint with an empty segment",
			rules:  "allow := true",
			config: policy.Config{Entrypoint: "envoy//allow"},
			want:   []string{`the entrypoint "envoy//allow" has an empty segment`},
		},
		{
			name:   "data in the place of a rule",
			rules:  "allow := true",
			config: policy.Config{Data: map[string]any{"envoy": map[string]any{"authz": map[string]any{"allow": true}}}},
			want:   []string{"policy.rego:3", "envoy/authz/allow"},
		},
		{
			name:   "a header that cannot be set",
			rules:  "allow := true",
			config: policy.Config{OutputHeaders: []string{"x-user", ":path"}},
			want:   []string{"output headers", "no token"},
		},
		{
			name:   "data of no JSON type",
			rules:  "allow := true",
			config: policy.Config{Data: map[string]any{"x": func() {}}},
			want:   []string{"the configured data"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Default = fstest.MapFS{"policy.rego": {Data: []byte("package envoy.authz\n\n" + tt.rules)}}
			_, err := policy.New(t.Context(), tt.config)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestEntrypoint(t *testing.T) {
	const rules = "package a[\"b.c\"]\n\nd := {\"allowed\": true}"
	e, err := policy.New(t.Context(), policy.Config{
		Entrypoint: "/a/b.c/d",
		Default:    fstest.MapFS{"policy.rego": {Data: []byte(rules)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); err != nil || !d.Allowed {
		t.Errorf("got %+v, %v, want an allow", d, err)
	}
}

// TestDecideConcurrently shares one snapshot, whose data and objects are sorted at first use.
func TestDecideConcurrently(t *testing.T) {
	e := shipped(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				d, err := e.Decide(t.Context(), get(t, "/orders/1"), clerk())
				if err != nil || !d.Allowed {
					t.Errorf("got %+v, %v, want an allow", d, err)
					return
				}
			}
		})
	}
	group.Wait()
}
