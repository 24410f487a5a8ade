package policy_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/pkg/policy"
)

// TestServicesInAList has the services as opa-envoy-plugin's documentation writes them, and one bundle
// in OPA's older way.
func TestServicesInAList(t *testing.T) {
	r := newRegistry(t)
	r.serve("/bundles/shop/authz", pack(t, content{revision: "r1", data: found(1)}, nil))
	for name, source := range map[string]map[string]any{
		"bundles": {"bundles": map[string]any{"shop/authz": map[string]any{"service": "controller", "polling": polling()}}},
		"bundle":  {"bundle": map[string]any{"name": "shop/authz", "service": "controller", "polling": polling()}},
	} {
		t.Run(name, func(t *testing.T) {
			source["services"] = []any{map[string]any{"name": "controller", "url": r.URL}}
			e, j := started(t, policy.Config{OPA: source})
			j.await(t, "policy loaded revision=r1")
			check(t, e, "r1", map[string]any{"a": 1.0})
		})
	}
}

// TestBundleCredentials has a server that asks for a bearer token, and is told one in each of OPA's ways.
func TestBundleCredentials(t *testing.T) {
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1", data: found(1)}, nil))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer s3cret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		r.ServeHTTP(w, req)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	t.Setenv("BUNDLE_TOKEN", "s3cret")
	file := filepath.Join(t.TempDir(), "token")
	put(t, file, "s3cret\n")
	for name, tt := range map[string]struct {
		bearer map[string]any
		want   string
	}{
		"in the configuration":     {map[string]any{"token": "s3cret"}, "policy loaded revision=r1"},
		"in the environment":       {map[string]any{"token": "${BUNDLE_TOKEN}"}, "policy loaded revision=r1"},
		"in a file":                {map[string]any{"token_path": file}, "policy loaded revision=r1"},
		"another":                  {map[string]any{"token": "other"}, "Bundle load failed"},
		"with a scheme of its own": {map[string]any{"token": "s3cret", "scheme": "Token"}, "Bundle load failed"},
	} {
		t.Run(name, func(t *testing.T) {
			config := opa(server.URL, nil, nil)
			config["services"] = map[string]any{"registry": map[string]any{"url": server.URL, "credentials": map[string]any{"bearer": tt.bearer}}}
			e, j := started(t, policy.Config{OPA: config})
			j.await(t, tt.want)
			if refused := tt.want == "Bundle load failed"; refused != (e.Ready() != nil) {
				t.Errorf("ready: %v", e.Ready())
			}
		})
	}
}
