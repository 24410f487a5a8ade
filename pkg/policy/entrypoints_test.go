package policy_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// several has a package for each entrypoint. Each answers with its name, and sets a header of its own.
func several(t *testing.T) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	for _, name := range []string{"usual", "orders", "shop", "wild", "network"} {
		rules := "package NAME\n\nallow := {\"allowed\": true, \"reason\": \"NAME\", \"headers\": headers}\n\n" +
			"headers[\"x-NAME\"] := \"1\" if input.attributes.contextExtensions.set\n"
		files[name+".rego"] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(rules, "NAME", name))}
	}
	return files
}

func TestEntrypoints(t *testing.T) {
	e, err := policy.New(t.Context(), policy.Config{
		Default: several(t), Entrypoint: "usual/allow", OutputHeaders: []string{"x-listed"},
		Entrypoints: []policy.Entrypoint{
			{Host: "Shop.example.com", Path: "shop/allow"},
			{ContextExtensions: map[string]string{"policy": "orders"}, Path: "orders/allow", OutputHeaders: []string{"x-order"}},
			{Network: true, Path: "network/allow"},
			{Host: "*.example.com", ContextExtensions: map[string]string{"a": "1", "b": "2"}, Path: "usual/allow"},
			{Host: "*.example.com", Path: "wild/allow"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		host       string
		extensions map[string]string
		network    bool
		want       string
		wantRemove []string
	}{
		{name: "nothing matches", host: "other.test", want: "usual", wantRemove: []string{"x-listed", "x-usual"}},
		{name: "a host", host: "shop.example.com", want: "shop", wantRemove: []string{"x-shop"}},
		{name: "a host, written otherwise", host: "SHOP.example.com.:8443", want: "shop", wantRemove: []string{"x-shop"}},
		{name: "below a domain", host: "a.b.example.com", want: "wild", wantRemove: []string{"x-wild"}},
		{name: "a domain itself", host: "example.com", want: "usual", wantRemove: []string{"x-listed", "x-usual"}},
		{name: "the end of a name", host: "evilexample.com", want: "usual", wantRemove: []string{"x-listed", "x-usual"}},
		{name: "an extension", host: "other.test", extensions: map[string]string{"policy": "orders"}, want: "orders", wantRemove: []string{"x-order", "x-orders"}},
		{name: "the first of two", host: "shop.example.com", extensions: map[string]string{"policy": "orders"}, want: "shop", wantRemove: []string{"x-shop"}},
		{name: "an extension of another value", extensions: map[string]string{"policy": "Orders"}, want: "usual", wantRemove: []string{"x-listed", "x-usual"}},
		{name: "all conditions", host: "a.example.com", extensions: map[string]string{"a": "1", "b": "2"}, want: "usual", wantRemove: []string{"x-usual"}},
		{name: "one condition of two", host: "a.example.com", extensions: map[string]string{"a": "1"}, want: "wild", wantRemove: []string{"x-wild"}},
		{name: "network", network: true, want: "network", wantRemove: []string{"x-network"}},
		{name: "network, by an extension", network: true, extensions: map[string]string{"policy": "orders"}, want: "orders", wantRemove: []string{"x-order", "x-orders"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := get(t, "/")
			req.HTTP.Host = tt.host
			if tt.network {
				req.HTTP = nil
			}
			req.ContextExtensions = tt.extensions
			d, err := e.Decide(t.Context(), req, authz.Identity{})
			if err != nil || !d.Allowed || d.Detail != tt.want {
				t.Fatalf("got %+v, %v, want an allow of %s", d, err, tt.want)
			}
			if d.Entrypoint != "data."+tt.want+".allow" {
				t.Errorf("entrypoint %q", d.Entrypoint)
			}
			if diff := cmp.Diff(tt.wantRemove, d.Upstream.RemoveHeaders); diff != "" {
				t.Errorf("headers that are removed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEntrypointsRefused(t *testing.T) {
	tests := map[string]struct {
		entrypoint policy.Entrypoint
		wantPath   string
		want       string
	}{
		"no rule":          {policy.Entrypoint{Network: true, Path: "orders/deny"}, "entrypoints[0].path", "data.orders.deny is no rule of the policy"},
		"no condition":     {policy.Entrypoint{Path: "orders/allow"}, "entrypoints[0]", "has no condition"},
		"an empty segment": {policy.Entrypoint{Network: true, Path: "orders//allow"}, "entrypoints[0].path", "empty segment"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := policy.New(t.Context(), policy.Config{
				Default: several(t), Entrypoint: "usual/allow", Entrypoints: []policy.Entrypoint{tt.entrypoint},
			})
			of, ok := errors.AsType[*policy.ConfigError](err)
			if !ok || of.Path != tt.wantPath || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a mistake of %s with %q", err, tt.wantPath, tt.want)
			}
		})
	}
}

// TestEntrypointDropped has a bundle update without a rule that is asked. Its checks are denied,
// the others go on, and it may come back.
func TestEntrypointDropped(t *testing.T) {
	const one, both = "package envoy.authz\n\nallow := true\n", "package envoy.authz\n\nallow := true\n\nnetwork := true\n"
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1", rego: both}, nil))
	e, j := started(t, policy.Config{OPA: opa(r.URL, nil, nil), Entrypoints: []policy.Entrypoint{{Network: true, Path: "envoy/authz/network"}}})
	network := func() error {
		d, err := e.Decide(t.Context(), &authz.Request{}, authz.Identity{})
		if err == nil && !d.Allowed {
			return errors.New("denied")
		}
		return err
	}
	j.await(t, "policy loaded revision=r1")
	if err := network(); err != nil {
		t.Errorf("before: %v", err)
	}
	r.serve(bundlePath, pack(t, content{revision: "r2", rego: one}, nil))
	j.await(t, "policy without an entrypoint: its checks are denied entrypoint=data.envoy.authz.network")
	err := network()
	if want := "policy: evaluate: data.envoy.authz.network is no rule of the policy"; authz.ReasonOf(err) != authz.PolicyUndefined || err.Error() != want {
		t.Errorf("dropped: %v, want %s", err, want)
	}
	if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); err != nil || !d.Allowed || d.Revision != "r2" {
		t.Errorf("the other entrypoint: %+v, %v, want an allow", d, err)
	}
	r.serve(bundlePath, pack(t, content{revision: "r3", rego: both}, nil))
	j.await(t, "policy loaded revision=r3")
	if err := network(); err != nil {
		t.Errorf("after: %v", err)
	}
}
