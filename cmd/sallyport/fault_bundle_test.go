package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/policy/pack"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// A registry serves one bundle, or what is put in its place.
type registry struct {
	addr        net.Addr
	server      *httptest.Server // nil: it is down
	key, public string           // that bundles are signed with, in PEM

	mu      sync.Mutex
	bundle  []byte
	made    int
	instead http.Handler
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{addr: freeAddr(t)}
	r.key, r.public = signingKey(t)
	r.up(t)
	t.Cleanup(r.down)
	return r
}

// signingKey is a pair of keys in PEM.
func signingKey(t *testing.T) (private, public string) {
	t.Helper()
	key := newKey(t)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	known, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return inPEM("PRIVATE KEY", secret), inPEM("PUBLIC KEY", known)
}

// ServeHTTP implements [http.Handler].
func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	bundle, made, instead := r.bundle, r.made, r.instead
	r.mu.Unlock()
	if instead != nil {
		instead.ServeHTTP(w, req)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, made))
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(bundle))
}

// up lets it serve, at the address that it always has.
func (r *registry) up(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", r.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewUnstartedServer(r)
	r.server.Listener.Close()
	r.server.Listener = listener
	r.server.Start()
}

func (r *registry) down() {
	if r.server != nil {
		r.server.CloseClientConnections()
		r.server.Close()
	}
	r.server = nil
}

// serve serves a bundle.
func (r *registry) serve(bundle []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bundle = bundle
	r.made++
}

// replace lets a handler answer; nil lets the registry answer again.
func (r *registry) replace(handler http.Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.instead = handler
}

// build makes a bundle of a policy.
func (r *registry) build(t *testing.T, rego, revision string, signing *pack.Signing) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "authz.rego"), filepath.Join(dir, "bundle.tar.gz")
	writeText(t, in, rego)
	if err := pack.Build(t.Context(), pack.Config{Paths: []string{in}, Revision: revision, Signing: signing}, out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// signed is the policy of fault.rego, signed as the instances want it.
func (r *registry) signed(t *testing.T, revision string) []byte {
	t.Helper()
	rego, err := os.ReadFile(filepath.Join("testdata", "fault.rego"))
	if err != nil {
		t.Fatal(err)
	}
	return r.build(t, string(rego), revision, &pack.Signing{Key: r.key, Algorithm: "ES256", KeyID: "k1"})
}

// settings have instances take their policy from the registry, and ask every second.
func (r *registry) settings() edit {
	return edit{"policy:\n", fmt.Sprintf(`policy:
  opa:
    services: {registry: {url: "http://%s"}}
    keys: {k1: {algorithm: ES256, key: %q}}
    bundles: {authz: {service: registry, resource: bundle.tar.gz, signing: {keyid: k1}, polling: {min_delay_seconds: 1, max_delay_seconds: 1}}}
`, r.addr, r.public)}
}

// everybody is a policy that must not come into force.
const everybody = "package envoy.authz\n\nallow := true\n"

// The bundle server goes away, and sends what is no bundle, what is not signed and what is signed by
// somebody else: the last good policy decides all the time. A good bundle is then taken over.
func TestEnvoyFaultBundles(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	r.serve(r.signed(t, "r1"))
	s := startSite(t, plan{settings: []edit{r.settings()}})
	i := s.instances[0]
	stranger, _ := signingKey(t)
	for _, fault := range []struct {
		name  string
		begin func()
		end   func()
	}{
		{"bundle server down", r.down, func() { r.up(t) }},
		{"bundle server hangs", func() { r.replace(http.HandlerFunc(tokentest.Hanging)) }, nil},
		{"bundle server sends a page", func() { r.replace(http.HandlerFunc(tokentest.Rubbish)) }, nil},
		{"corrupt bundle", func() { r.serve(r.signed(t, "bad")[:400]) }, nil},
		{"unsigned bundle", func() { r.serve(r.build(t, everybody, "bad", nil)) }, nil},
		{"bundle of another key", func() {
			r.serve(r.build(t, everybody, "bad", &pack.Signing{Key: stranger, Algorithm: "ES256", KeyID: "k1"}))
		}, nil},
	} {
		refused := i.metric(t, "sallyport_policy_loads_total", "refused")
		s.during(t, fault.name, nil, func() {
			fault.begin()
			if fault.name == "bundle server hangs" {
				return // and nobody knows yet
			}
			until(t, "the fault is counted", func() bool { return i.metric(t, "sallyport_policy_loads_total", "refused") > refused })
			i.says(t, "/readyz", "trouble: ")
		})
		revision := "after-" + strings.ReplaceAll(fault.name, " ", "-")
		took := s.recovers(t, fault.name+" ends", nil, func() {
			r.replace(nil)
			if fault.end != nil {
				fault.end()
			}
			r.serve(r.signed(t, revision))
			i.says(t, "/metrics", `sallyport_policy_revision="`+revision)
		})
		t.Logf("answers were right %s after the end", took)
	}
}

// An instance starts while the bundle server is down: it is not ready, and everybody is denied, with 503.
func TestEnvoyFaultBundlesAtStart(t *testing.T) {
	t.Parallel()
	r := newRegistry(t)
	r.serve(r.signed(t, "r1"))
	r.down()
	s := startSite(t, plan{settings: []edit{r.settings()}, unready: true, edits: askingOften()})
	i := s.instances[0]
	s.during(t, "start without a bundle server", always(http.StatusServiceUnavailable), func() {
		i.says(t, "/readyz", "waiting for the bundles authz")
		s.awaitHealth(t, "/failed_active_hc")
	})
	took := s.recovers(t, "the bundle server comes", always(http.StatusServiceUnavailable), func() { r.up(t) })
	t.Logf("all answers right %s after it came", took)
	s.during(t, "with the bundle", nil, func() {})
}
