package policy_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// A registry serves bundles over HTTP as a control plane does: with ETag and long polling.
type registry struct {
	*httptest.Server
	mu       sync.Mutex
	served   map[string][]byte // by path
	changed  chan struct{}     // closed at the next change
	answers  chan string       // what was answered, in order
	statuses chan []byte       // what the status plugin sent
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{
		served: map[string][]byte{}, changed: make(chan struct{}),
		answers: make(chan string, 10_000), statuses: make(chan []byte, 10_000),
	}
	r.Server = httptest.NewServer(r)
	t.Cleanup(func() { r.CloseClientConnections(); r.Close() })
	return r
}

// serve puts a bundle at a path, and answers who waits for it.
func (r *registry) serve(path string, bundle []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.served[path] = bundle
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if strings.HasPrefix(req.URL.Path, "/status") {
		var body bytes.Buffer
		_, _ = body.ReadFrom(req.Body)
		r.statuses <- body.Bytes()
		return
	}
	for polls := 0; ; polls++ {
		r.mu.Lock()
		bundle, changed := r.served[req.URL.Path], r.changed
		r.mu.Unlock()
		etag := fmt.Sprintf("%x", sum(bundle))
		if bundle != nil && req.Header.Get("If-None-Match") != etag {
			w.Header().Set("ETag", etag)
			w.Header().Set("Content-Type", "application/vnd.openpolicyagent.bundles")
			_, _ = w.Write(bundle)
			r.answers <- "200 " + req.URL.Path
			return
		}
		select {
		case <-changed:
		case <-req.Context().Done():
			return
		}
		r.mu.Lock()
		same := bytes.Equal(bundle, r.served[req.URL.Path])
		r.mu.Unlock()
		if same && bundle != nil { // something was served again: not modified
			w.Header().Set("ETag", etag)
			w.Header().Set("Content-Type", "application/vnd.openpolicyagent.bundles")
			w.WriteHeader(http.StatusNotModified)
			r.answers <- "304 " + req.URL.Path
			return
		}
	}
}

func sum(b []byte) (total uint64) {
	for _, c := range b {
		total = total*31 + uint64(c)
	}
	return total
}

// A content is what goes into a bundle.
type content struct {
	revision string
	rego     string // the module, or "" for showData
	name     string // of the module, or "" for policy.rego
	data     map[string]any
	roots    []string
	patch    []opabundle.PatchOperation // of a delta bundle
}

// pack writes a bundle with OPA's own writer, signed if there is a key.
func pack(t *testing.T, c content, key *signingKey) []byte {
	t.Helper()
	if c.rego == "" {
		c.rego = showData
	}
	if c.name == "" {
		c.name = "policy.rego"
	}
	if c.roots == nil {
		c.roots = []string{""}
	}
	b := opabundle.Bundle{Manifest: opabundle.Manifest{Revision: c.revision, Roots: &c.roots}}
	if c.patch != nil {
		b.Patch = opabundle.Patch{Data: c.patch}
	} else {
		b.Data = c.data
		if b.Data == nil {
			b.Data = map[string]any{}
		}
		b.Modules = []opabundle.ModuleFile{{URL: c.name, Path: c.name, Raw: []byte(c.rego)}}
	}
	if key != nil {
		if err := b.GenerateSignature(opabundle.NewSigningConfig(key.private, "ES256", ""), key.id, false); err != nil {
			t.Fatal(err)
		}
	}
	var raw bytes.Buffer
	if err := opabundle.NewWriter(&raw).DisableFormat(true).Write(b); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes()
}

type signingKey struct{ id, private, public string }

func newKey(t *testing.T, id string) *signingKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	armour := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return &signingKey{id: id, private: armour("EC PRIVATE KEY", private), public: armour("PUBLIC KEY", public)}
}

// keys is OPA's configuration of keys.
func keys(keys ...*signingKey) map[string]any {
	out := map[string]any{}
	for _, k := range keys {
		out[k.id] = map[string]any{"algorithm": "ES256", "key": k.public}
	}
	return out
}

// polling is short, and long where the server waits.
func polling() map[string]any {
	return map[string]any{"min_delay_seconds": 1, "max_delay_seconds": 1, "long_polling_timeout_seconds": 10}
}

// opa is OPA's configuration with one service and one bundle, and more.
func opa(url string, source map[string]any, more map[string]any) map[string]any {
	bundle := map[string]any{"service": "registry", "resource": "bundles/authz", "polling": polling()}
	maps.Copy(bundle, source)
	out := map[string]any{
		"services": map[string]any{"registry": map[string]any{"url": url}},
		"bundles":  map[string]any{"authz": bundle},
	}
	maps.Copy(out, more)
	return out
}

const bundlePath = "/bundles/authz"

// started makes an engine that is closed at the end, and its journal.
func started(t *testing.T, config policy.Config) (*policy.Engine, *journal) {
	t.Helper()
	j := newJournal()
	config.Logger = j.logger()
	e, err := policy.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, j
}

// check asks the engine, and wants the revision and the metadata of its answer.
func check(t *testing.T, e *policy.Engine, revision string, metadata map[string]any) {
	t.Helper()
	if e.Revision() != revision {
		t.Errorf("revision %q, want %q", e.Revision(), revision)
	}
	d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Revision != revision {
		t.Errorf("the decision is of %q, want %q", d.Revision, revision)
	}
	checkMetadata(t, e, metadata)
}

// unused is an address that nobody listens at.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// swapText changes a text within a bundle, as somebody on the way could.
func swapText(t *testing.T, bundle []byte, from, to string) []byte {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(bundle))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(zipped)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(raw, []byte(from), []byte(to), 1)
	if bytes.Equal(changed, raw) || len(from) != len(to) {
		t.Fatalf("%q is not in the bundle", from)
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(changed); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
