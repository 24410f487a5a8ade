package policy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

func TestMaxSteps(t *testing.T) {
	const rules = "allow if {\n\tevery n in numbers.range(1, 1000) { n > 0; input.version }\n}"
	tests := []struct {
		name, rules string
		steps       int64
		wantErr     string
	}{
		{name: "enough", rules: rules, steps: 10_000},
		{name: "too few", rules: rules, steps: 500, wantErr: "policy: evaluate: data.envoy.authz.allow took more than 500 steps"},
		{name: "the default ends what is endless", rules: endless, wantErr: "took more than 1000000 steps"},
		{
			name: "a long text", rules: `allow if count(concat(input.version.encoding, [x | some i in numbers.range(1, 100); x := "a"])) > 0`, steps: 50,
			wantErr: "took more than 50 steps",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := configured(t, tt.rules, policy.Config{MaxSteps: tt.steps})
			for range 2 { // each evaluation has its own
				d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
				switch {
				case tt.wantErr == "" && (err != nil || !d.Allowed):
					t.Errorf("got %+v, %v, want an allow", d, err)
				case tt.wantErr != "" && (authz.ReasonOf(err) != authz.PolicyError || !strings.Contains(err.Error(), tt.wantErr)):
					t.Errorf("got %+v, %v, want %s", d, err, tt.wantErr)
				}
			}
		})
	}
}

// late is a context whose deadline passes without anybody being told, as a builtin that takes long
// and does not look would have it.
type late struct {
	context.Context //nolint:containedctx // it is one
	asked           int
}

func (l *late) Err() error {
	if l.asked++; l.asked == 1 {
		return nil
	}
	return context.DeadlineExceeded
}

func TestDeadlineAfterEvaluation(t *testing.T) {
	_, err := engine(t, "allow := true").Decide(&late{Context: t.Context()}, get(t, "/"), authz.Identity{})
	if authz.ReasonOf(err) != authz.Timeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want a timeout", err)
	}
}

func TestCapabilities(t *testing.T) {
	const send = `allow if http.send({"method": "GET", "url": "http://%s/", "raise_error": false}).status_code == 200`
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	redirect := httptest.NewServer(http.RedirectHandler(strings.Replace(server.URL, "127.0.0.1", "localhost", 1), http.StatusFound))
	t.Cleanup(redirect.Close)
	host := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	tests := []struct {
		name         string
		rules        string
		capabilities policy.Capabilities
		wantNew      string // what New says
		wantErr      string // what Decide says; "" is an allow
	}{
		{name: "nothing of the network", rules: fmt.Sprintf(send, "example.com"), wantNew: "http.send uses the network, which policies must not without capabilities.allowNet"},
		{name: "a host", rules: fmt.Sprintf(send, host(server)), capabilities: policy.Capabilities{AllowNet: []string{"127.0.0.1"}}},
		{
			name: "another host", rules: fmt.Sprintf(send, host(server)), capabilities: policy.Capabilities{AllowNet: []string{"example.com"}},
			wantErr: "policy: evaluate: data.envoy.authz.allow has no answer", // the rule may look at the error
		},
		{
			name: "another host as an error", rules: strings.Replace(fmt.Sprintf(send, host(server)), `, "raise_error": false`, "", 1),
			capabilities: policy.Capabilities{AllowNet: []string{"example.com"}},
			wantErr:      "policy: evaluate: data.envoy.authz.allow (policy.rego:3): http.send failed",
		},
		{
			name: "another host by a redirect", rules: strings.Replace(fmt.Sprintf(send, host(redirect)), `"raise_error": false`, `"enable_redirect": true`, 1),
			capabilities: policy.Capabilities{AllowNet: []string{"127.0.0.1"}}, wantErr: "http.send failed",
		},
		{
			name: "another host by name", rules: `allow if net.lookup_ip_addr("localhost")`,
			capabilities: policy.Capabilities{AllowNet: []string{"127.0.0.1"}}, wantErr: "net.lookup_ip_addr failed",
		},
		{name: "one builtin of a list", rules: `allow if count("a") + 1 == 2`, capabilities: policy.Capabilities{Builtins: []string{"count"}}},
		{name: "none of a list", rules: `allow if count("a") == 1`, capabilities: policy.Capabilities{Builtins: []string{"startswith"}}, wantNew: "policy.rego:3: rego_type_error: undefined function count"},
		{name: "no builtin", rules: "allow := true", capabilities: policy.Capabilities{Builtins: []string{"cout"}}, wantNew: `there is no builtin "cout"`},
		{name: "a builtin without a host", rules: "allow := true", capabilities: policy.Capabilities{Builtins: []string{"http.send"}}, wantNew: "http.send uses the network and needs capabilities.allowNet"},
		{name: "a host with a port", rules: "allow := true", capabilities: policy.Capabilities{AllowNet: []string{"a:443"}}, wantNew: "not a host name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := policy.New(t.Context(), policy.Config{
				Capabilities: tt.capabilities,
				Default:      fstest.MapFS{"policy.rego": {Data: []byte("package envoy.authz\n\n" + tt.rules)}},
			})
			if tt.wantNew != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantNew) {
					t.Errorf("new: %v, want %s", err, tt.wantNew)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
			switch {
			case tt.wantErr == "" && (err != nil || !d.Allowed):
				t.Errorf("got %+v, %v, want an allow", d, err)
			case tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)):
				t.Errorf("got %+v, %v, want %s", d, err, tt.wantErr)
			}
		})
	}
}

// TestHTTPSendCaches asks a server once for what it lets be kept, and again where the cache is too
// small to hold it.
func TestHTTPSendCaches(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes any
		want  int
	}{"by default": {nil, 1}, "with room": {100_000, 1}, "without limit, which is our limit": {0, 1}, "without room": {1, 3}} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked++
				w.Header().Set("Cache-Control", "max-age=3600")
				w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
			}))
			t.Cleanup(server.Close)
			caching := map[string]any{}
			if tt.bytes != nil {
				caching["inter_query_builtin_cache"] = map[string]any{"max_size_bytes": tt.bytes}
			}
			e := configured(t, fmt.Sprintf(`allow if http.send({"method": "GET", "url": %q, "cache": true}).status_code == 200`, server.URL), policy.Config{
				Capabilities: policy.Capabilities{AllowNet: []string{"127.0.0.1"}}, OPA: map[string]any{"caching": caching},
			})
			t.Cleanup(func() { _ = e.Close() })
			for range 3 {
				if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); err != nil || !d.Allowed {
					t.Fatalf("got %+v, %v, want an allow", d, err)
				}
			}
			if asked != tt.want {
				t.Errorf("the server was asked %d times, want %d", asked, tt.want)
			}
		})
	}
}
