package pack_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/pack"
)

// A signer is a key to sign with, and what OPA's configuration says of it.
type signer struct {
	algorithm string
	private   string // a file
	public    string // a file, or the secret
	key       string // the text of public
}

func newSigner(t *testing.T, algorithm string) signer {
	t.Helper()
	if strings.HasPrefix(algorithm, "HS") {
		secret := rand.Text() + rand.Text()
		dir := write(t, map[string]string{"secret": secret})
		return signer{algorithm, filepath.Join(dir, "secret"), filepath.Join(dir, "secret"), secret}
	}
	var key crypto.Signer
	var err error
	if strings.HasPrefix(algorithm, "RS") {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	armoured := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	dir := write(t, map[string]string{
		"key.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), "public.pem": armoured,
	})
	return signer{algorithm, filepath.Join(dir, "key.pem"), filepath.Join(dir, "public.pem"), armoured}
}

func (s signer) signing(id string) *pack.Signing {
	return &pack.Signing{Key: s.private, Algorithm: s.algorithm, KeyID: id}
}

// TestServed goes the whole way: built and signed, served over HTTP, fetched and verified by an engine.
func TestServed(t *testing.T) {
	for _, algorithm := range []string{"RS256", "ES256", "HS256"} {
		t.Run(algorithm, func(t *testing.T) {
			ours, other := newSigner(t, algorithm), newSigner(t, algorithm)
			dir := write(t, map[string]string{"p.rego": allowValid})
			bundle := func(revision string, signing *pack.Signing) string {
				return built(t, pack.Config{Paths: []string{dir}, Revision: revision, Signing: signing})
			}
			e, serve, journal := engine(t, ours)
			serve(bundle("r1", ours.signing("k1")))
			journal.await(t, "revision=r1")
			d, err := e.Decide(t.Context(), request(t), authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenValid}}})
			if err != nil || !d.Allowed || d.Revision != "r1" {
				t.Errorf("got %+v, %v, want an allow of r1", d, err)
			}
			serve(bundle("bad", other.signing("k1")))
			journal.await(t, "failed to verify JWT signature")
			serve(bundle("bad", nil))
			journal.await(t, "bundle missing .signatures.json file")
			if e.Revision() != "r1" {
				t.Errorf("revision %q, want the last good one", e.Revision())
			}
		})
	}
}

// engine is an engine whose bundle comes from a server, and what sets the bundle.
func engine(t *testing.T, key signer) (e *policy.Engine, serve func(string), j *journal) {
	t.Helper()
	var mu sync.Mutex
	var file string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if file == "" {
			http.NotFound(w, r)
			return
		}
		http.ServeFile(w, r, file)
	}))
	t.Cleanup(server.Close)
	j = &journal{lines: make(chan string, 1000)}
	e, err := policy.New(t.Context(), policy.Config{Logger: slog.New(slog.NewTextHandler(j, nil)), OPA: map[string]any{
		"services": map[string]any{"registry": map[string]any{"url": server.URL}},
		"keys":     map[string]any{"k1": map[string]any{"algorithm": key.algorithm, "key": key.key}},
		"bundles": map[string]any{"authz": map[string]any{
			"service": "registry", "resource": "bundle.tar.gz", "signing": map[string]any{"keyid": "k1"},
			"polling": map[string]any{"min_delay_seconds": 1, "max_delay_seconds": 1},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, func(name string) { mu.Lock(); file = name; mu.Unlock() }, j
}

// A journal is what the engine logs.
type journal struct{ lines chan string }

func (j *journal) Write(line []byte) (int, error) {
	j.lines <- string(bytes.Clone(line))
	return len(line), nil
}

func (j *journal) await(t *testing.T, want string) {
	t.Helper()
	patience := time.After(time.Minute)
	for {
		select {
		case line := <-j.lines:
			if strings.Contains(line, want) {
				return
			}
		case <-patience:
			t.Fatalf("%q was never logged", want)
		}
	}
}

func request(t *testing.T) *authz.Request {
	t.Helper()
	path, err := authz.ParsePath("/")
	if err != nil {
		t.Fatal(err)
	}
	return &authz.Request{HTTP: &authz.HTTP{Method: "GET", Path: path, Headers: authz.Headers{}}}
}

// TestSignAgain verifies a bundle with one key and signs it with another.
func TestSignAgain(t *testing.T) {
	old, next := newSigner(t, "ES256"), newSigner(t, "ES256")
	first := built(t, pack.Config{Paths: []string{write(t, map[string]string{"p.rego": allowValid})}, Signing: old.signing("k1")})
	verified := func(key signer) *pack.Verification {
		return &pack.Verification{Key: key.public, Algorithm: key.algorithm, KeyID: "k1"}
	}
	again := pack.Config{Paths: []string{first}, Bundles: true, Signing: next.signing("k1"), Verification: verified(old)}
	second := built(t, again)
	built(t, pack.Config{Paths: []string{second}, Bundles: true, Verification: verified(next)})
	if _, err := build(t, pack.Config{Paths: []string{second}, Bundles: true, Verification: verified(old)}); err == nil {
		t.Error("the new bundle is verified by the old key")
	}
}

// TestKeysStaySecret has mistakes with keys, whose text is in no error.
func TestKeysStaySecret(t *testing.T) {
	const secret = "TopSecretText"
	broken := "-----BEGIN PRIVATE KEY-----\n" + secret + "\n-----END PRIVATE KEY-----\n"
	inFile := filepath.Join(write(t, map[string]string{"k": broken}), "k")
	dir := write(t, map[string]string{"p.rego": allowValid})
	tests := []struct {
		name    string
		signing pack.Signing
		want    string
	}{
		{"no PEM", pack.Signing{Key: secret}, "neither a file that is there nor PEM"},
		{"broken PEM", pack.Signing{Key: broken}, "no private key for RS256"},
		{"a broken file", pack.Signing{Key: inFile, Algorithm: "ES256"}, "no private key for ES256"},
		{"a file that is not there", pack.Signing{Key: "keys/" + secret, Algorithm: "HS256"}, "names a file that is not there"},
		{"a directory", pack.Signing{Key: dir, Algorithm: "HS256"}, "is a directory"},
		{"an empty secret", pack.Signing{Algorithm: "HS256"}, "is empty"},
		{"no such algorithm", pack.Signing{Key: secret, Algorithm: "none"}, `no signing algorithm "none"`},
		{"no such claims", pack.Signing{Key: secret, Algorithm: "HS256", ClaimsFile: "absent.json"}, "absent.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := build(t, pack.Config{Paths: []string{dir}, Signing: &tt.signing})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("the key is in the error %v", err)
			}
		})
	}
}
