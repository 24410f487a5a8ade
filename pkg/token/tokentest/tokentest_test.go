package tokentest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

func TestSeedsMakeTheSameKeys(t *testing.T) {
	for _, alg := range []string{"RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			jwk := func(seed string) map[string]any {
				k, err := tokentest.NewKey("k", alg, seed)
				if err != nil {
					t.Fatal(err)
				}
				return k.JWK()
			}
			if diff := cmp.Diff(jwk("a"), jwk("a")); diff != "" {
				t.Errorf("one seed, two keys:\n%s", diff)
			}
			for _, other := range []string{"b", ""} {
				if cmp.Equal(jwk("a"), jwk(other)) {
					t.Errorf("seeds a and %q make one key", other)
				}
			}
		})
	}
}

func TestKeysAreSound(t *testing.T) {
	i, err := tokentest.Offline("https://issuer.example", tokentest.Config{Seed: "sound"})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Key("RS256").Private.(*rsa.PrivateKey).Validate(); err != nil {
		t.Error(err)
	}
	if _, err := i.Key("ES512").Private.(*ecdsa.PrivateKey).ECDH(); err != nil {
		t.Error(err)
	}
	if i.Key("HS256") != nil {
		t.Error("a key for HMAC")
	}
}

func TestOnlyLoopback(t *testing.T) {
	if i, err := tokentest.New(tokentest.Config{Addr: "0.0.0.0:0", Algorithms: []string{"EdDSA"}}); err == nil {
		i.Close()
		t.Error("listens on every address")
	}
}

func TestServing(t *testing.T) {
	i, err := tokentest.New(tokentest.Config{TLS: true, Algorithms: []string{"EdDSA"}, CacheControl: "max-age=60"})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = i.Roots
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	fetch := func(url, etag string) (int, http.Header, []byte) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("If-None-Match", etag)
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header, body
	}
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	_, _, body := fetch(i.URL+"/.well-known/openid-configuration", "")
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	if document.Issuer != i.URL || document.Keys != i.KeysURL() {
		t.Errorf("discovery says %+v", document)
	}
	_, first, _ := fetch(document.Keys, "")
	if got := first.Get("Cache-Control"); got != "max-age=60" {
		t.Errorf("Cache-Control %q", got)
	}
	if got, _, _ := fetch(document.Keys, first.Get("ETag")); got != http.StatusNotModified {
		t.Errorf("status %d for an unchanged set", got)
	}
	if _, err := i.Rotate("EdDSA"); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := fetch(document.Keys, first.Get("ETag")); got != http.StatusOK {
		t.Errorf("status %d for a changed set", got)
	}
	if diff := cmp.Diff(tokentest.Fetches{Discovery: 1, Keys: 3}, i.Fetched()); diff != "" {
		t.Errorf("fetches (-want +got):\n%s", diff)
	}
}

func TestMisbehaving(t *testing.T) {
	i, err := tokentest.Offline("https://issuer.example", tokentest.Config{Algorithms: []string{"EdDSA"}})
	if err != nil {
		t.Fatal(err)
	}
	i.Instead(http.HandlerFunc(tokentest.Hanging))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, i.KeysURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := i.Client().Do(request); err == nil {
		response.Body.Close()
		t.Error("a hanging issuer answered")
	}
	i.Withdraw(i.Key("EdDSA"))
	if _, err := i.Token("orders", nil); err == nil || !strings.Contains(err.Error(), "no key is published") {
		t.Errorf("error %v for a token without a key", err)
	}
}
