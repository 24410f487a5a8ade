// Package tokentest is a real little issuer, for tests and for the demo.
//
// It makes keys, signs what it is told to, right or wrong, and serves OpenID discovery and a JWK
// set, from loopback alone or without any network. It rotates and withdraws keys, fails when it is
// asked to, and counts who asks. It is built on the standard library alone, so that it is a witness
// independent of what verifies its tokens.
package tokentest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A Config says what issuer to make. Its zero value makes one key of every kind and serves plain HTTP.
type Config struct {
	Addr         string           // loopback address to listen on; "" means 127.0.0.1 and any port
	TLS          bool             // serve HTTPS with a certificate that Issuer.Roots trusts
	Algorithms   []string         // one key each; empty means RS256, PS256, ES256, ES384, ES512 and EdDSA
	Seed         string           // keys are made from it, the same every time; "" means random keys
	CacheControl string           // of the JWK set; "" means none
	Now          func() time.Time // nil means time.Now
}

// An Issuer signs tokens and publishes the keys to check them. Its methods may be called concurrently.
type Issuer struct {
	URL   string         // the iss of its tokens
	Roots *x509.CertPool // trusts the issuer's certificate; nil without TLS

	cfg    Config
	server *http.Server
	served chan error // what Serve returned

	mu        sync.Mutex
	keys      []*Key // all, in the order they were made
	published []*Key
	made      int
	instead   http.Handler
	fetches   Fetches
}

// Fetches counts what was asked of an issuer.
type Fetches struct {
	Discovery int
	Keys      int
}

const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/jwks"
)

// New starts an issuer on loopback. Close stops it.
func New(cfg Config) (*Issuer, error) {
	listener, err := net.Listen("tcp", cmp.Or(cfg.Addr, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("tokentest: listen: %w", err)
	}
	if addr, ok := listener.Addr().(*net.TCPAddr); !ok || !addr.IP.IsLoopback() {
		listener.Close()
		return nil, errors.New("tokentest: listen: not a loopback address")
	}
	i, err := Offline("http://"+listener.Addr().String(), cfg)
	if err == nil && cfg.TLS {
		listener, err = i.secure(listener)
	}
	if err != nil {
		listener.Close()
		return nil, err
	}
	i.server, i.served = &http.Server{Handler: i, ReadHeaderTimeout: 5 * time.Second}, make(chan error, 1)
	go func() { i.served <- i.server.Serve(listener) }()
	return i, nil
}

// Offline makes an issuer that listens nowhere. Client reaches it, and it is an [http.Handler].
func Offline(url string, cfg Config) (*Issuer, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}
	}
	i := &Issuer{URL: url, cfg: cfg}
	for _, alg := range cfg.Algorithms {
		if _, err := i.Rotate(alg); err != nil {
			return nil, err
		}
	}
	return i, nil
}

func (i *Issuer) secure(listener net.Listener) (net.Listener, error) {
	certificate, roots, err := selfSigned(i.cfg.Now())
	if err != nil {
		return listener, fmt.Errorf("tokentest: certificate: %w", err)
	}
	i.URL, i.Roots = "https://"+listener.Addr().String(), roots
	return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{certificate}}), nil
}

// Close stops the issuer and cuts every connection.
func (i *Issuer) Close() error {
	if i.server == nil {
		return nil
	}
	err := i.server.Close()
	if served := <-i.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	i.served <- http.ErrServerClosed // for who closes twice
	return err
}

// Claims are those of a good token for an audience, valid for an hour.
func (i *Issuer) Claims(audience string) map[string]any {
	now := i.cfg.Now().Unix()
	return map[string]any{"iss": i.URL, "sub": "alice", "aud": audience, "iat": now, "exp": now + 3600}
}

// Token signs the claims of Claims, changed by changes, with the newest published key. A nil
// change takes a claim away.
func (i *Issuer) Token(audience string, changes map[string]any) (string, error) {
	i.mu.Lock()
	if len(i.published) == 0 {
		i.mu.Unlock()
		return "", errors.New("tokentest: sign: no key is published")
	}
	key := i.published[len(i.published)-1]
	i.mu.Unlock()
	return key.Sign(nil, Change(i.Claims(audience), changes))
}

// Change is a copy of object with changes laid over it; a nil change takes a member away.
func Change(object, changes map[string]any) map[string]any {
	changed := maps.Clone(object)
	for name, value := range changes {
		if value == nil {
			delete(changed, name)
			continue
		}
		changed[name] = value
	}
	return changed
}

// Key is the newest key for an algorithm, published or not; nil where there is none.
func (i *Issuer) Key(algorithm string) *Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, k := range slices.Backward(i.keys) {
		if k.Algorithm == algorithm {
			return k
		}
	}
	return nil
}

// Make makes a key and does not publish it.
func (i *Issuer) Make(algorithm string) (*Key, error) {
	i.mu.Lock()
	i.made++
	id, seed := fmt.Sprintf("%s-%d", algorithm, i.made), ""
	i.mu.Unlock()
	if i.cfg.Seed != "" {
		seed = i.cfg.Seed + "/" + id
	}
	k, err := NewKey(id, algorithm, seed)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = append(i.keys, k)
	return k, nil
}

// Rotate makes a key and publishes it beside the others.
func (i *Issuer) Rotate(algorithm string) (*Key, error) {
	k, err := i.Make(algorithm)
	if err == nil {
		i.Publish(k)
	}
	return k, err
}

// Publish puts keys into the JWK set.
func (i *Issuer) Publish(keys ...*Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = append(slices.Clone(i.published), keys...)
}

// Withdraw takes keys out of the JWK set.
func (i *Issuer) Withdraw(keys ...*Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = slices.DeleteFunc(slices.Clone(i.published), func(k *Key) bool { return slices.Contains(keys, k) })
}

// Instead lets a handler answer in the issuer's place, such as [Failing]; nil lets the issuer answer again.
func (i *Issuer) Instead(handler http.Handler) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.instead = handler
}

// Fetched counts what was asked until now.
func (i *Issuer) Fetched() Fetches {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

// ServeHTTP answers discovery and the JWK set.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	switch r.URL.Path {
	case discoveryPath:
		i.fetches.Discovery++
	case keysPath:
		i.fetches.Keys++
	}
	instead := i.instead
	i.mu.Unlock()
	switch {
	case instead != nil:
		instead.ServeHTTP(w, r)
	case r.URL.Path == discoveryPath:
		i.serve(w, r, map[string]any{"issuer": i.URL, "jwks_uri": i.URL + keysPath})
	case r.URL.Path == keysPath:
		if i.cfg.CacheControl != "" {
			w.Header().Set("Cache-Control", i.cfg.CacheControl)
		}
		i.serve(w, r, i.KeySet())
	default:
		http.NotFound(w, r)
	}
}

func (i *Issuer) serve(w http.ResponseWriter, r *http.Request, document any) {
	text, err := json.Marshal(document)
	if err != nil {
		http.Error(w, "no document", http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(text)
	etag := `"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"`
	w.Header().Set("ETag", etag)
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(text)
}

// KeysURL is where the JWK set is.
func (i *Issuer) KeysURL() string { return i.URL + keysPath }

// KeySet is the JWK set of the published keys.
func (i *Issuer) KeySet() map[string]any {
	i.mu.Lock()
	defer i.mu.Unlock()
	return KeySet(i.published...)
}

// KeySet is a JWK set.
func KeySet(keys ...*Key) map[string]any {
	members := make([]any, 0, len(keys))
	for _, k := range keys {
		members = append(members, k.JWK())
	}
	return map[string]any{"keys": members}
}

// Failing answers 500.
func Failing(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "out of order", http.StatusInternalServerError)
}

// Hanging answers nothing until the caller gives up.
func Hanging(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// Rubbish answers 200 and a page for people.
func Rubbish(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	w.Write([]byte("<!doctype html><title>Down for maintenance</title>"))
}

// Empty answers a JWK set without keys.
func Empty(w http.ResponseWriter, _ *http.Request) {
	w.Write([]byte(`{"keys":[]}`))
}

// Client reaches the issuer without a network, whatever the address.
func (i *Issuer) Client() *http.Client { return &http.Client{Transport: direct{i}} }

// direct hands requests to a handler.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &recorder{header: make(http.Header), status: http.StatusOK}
	d.handler.ServeHTTP(w, r)
	if err := context.Cause(r.Context()); err != nil {
		return nil, err
	}
	return w.response(r), nil
}
