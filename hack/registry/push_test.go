package registry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/open-policy-agent/opa/v1/bundle"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// A store is a registry that may ask for a credential, and may be down.
type store struct {
	*httptest.Server
	wants string // the Authorization header that a pull needs; "": none
	down  atomic.Bool
}

func newStore(t *testing.T, wants string) *store {
	t.Helper()
	s := &store{wants: wants}
	behind := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case s.down.Load():
			http.Error(w, "down", http.StatusServiceUnavailable)
		case reads && s.wants != "" && r.Header.Get("Authorization") != s.wants:
			http.Error(w, "who are you?", http.StatusUnauthorized)
		default:
			behind.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// reference is that of the bundle, as OPA's resource says it.
func (s *store) reference() string { return s.host() + "/policies/authz:latest" }

func (s *store) host() string { return strings.TrimPrefix(s.URL, "http://") }

// push does what `oras push` does: two blobs, and a manifest of them with a tag.
func (s *store) push(t *testing.T, layer []byte) {
	t.Helper()
	config := []byte("{}")
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": s.blob(t, config, "application/vnd.oci.image.config.v1+json"),
		"layers": []any{s.blob(t, layer, "application/vnd.oci.image.layer.v1.tar+gzip")},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.send(t, http.MethodPut, "manifests/latest", manifestType, manifest)
}

func (s *store) blob(t *testing.T, content []byte, mediaType string) map[string]any {
	t.Helper()
	sum := sha256.Sum256(content)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	s.send(t, http.MethodPost, "blobs/uploads/?digest="+digest, "application/octet-stream", content)
	return map[string]any{"mediaType": mediaType, "digest": digest, "size": len(content)}
}

func (s *store) send(t *testing.T, method, path, contentType string, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/v2/policies/authz/"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: %s", method, path, resp.Status)
	}
}

// pack makes a bundle whose policy allows, signed with a secret if there is one.
func pack(t *testing.T, revision, secret string) []byte {
	t.Helper()
	b := bundle.Bundle{
		Manifest: bundle.Manifest{Revision: revision, Roots: &[]string{"envoy"}}, Data: map[string]any{},
		Modules: []bundle.ModuleFile{{URL: "a.rego", Path: "a.rego", Raw: fmt.Appendf(nil, "package envoy.authz\n\nallow := true # %s\n", revision)}},
	}
	if secret != "" {
		if err := b.GenerateSignature(bundle.NewSigningConfig(secret, "HS256", ""), "k1", false); err != nil {
			t.Fatal(err)
		}
	}
	var raw bytes.Buffer
	if err := bundle.NewWriter(&raw).DisableFormat(true).Write(b); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes()
}
