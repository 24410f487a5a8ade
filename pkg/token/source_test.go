package token_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

func TestDiscovery(t *testing.T) {
	document := func(issuer, uri string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "jwks_uri": uri, "keys": []any{}})
		}
	}
	for _, test := range []struct {
		name string
		at   func(*tokentest.Issuer) http.HandlerFunc
	}{
		{"another issuer", func(i *tokentest.Issuer) http.HandlerFunc { return document("https://other.example", i.KeysURL()) }},
		{"a slash more", func(i *tokentest.Issuer) http.HandlerFunc { return document(i.URL+"/", i.KeysURL()) }},
		{"keys elsewhere", func(i *tokentest.Issuer) http.HandlerFunc { return document(i.URL, "https://evil.example/jwks") }},
		{"keys at another port", func(i *tokentest.Issuer) http.HandlerFunc { return document(i.URL, i.URL+":8443/jwks") }},
		{"keys over plain HTTP", func(i *tokentest.Issuer) http.HandlerFunc { return document(i.URL, "http://issuer.example/jwks") }},
		{"keys at a file", func(i *tokentest.Issuer) http.HandlerFunc { return document(i.URL, "file:///etc/passwd") }},
		{"keys at the host behind a user", func(i *tokentest.Issuer) http.HandlerFunc { return document(i.URL, "https://x@issuer.example/jwks") }},
		{"no address", func(i *tokentest.Issuer) http.HandlerFunc { return document(i.URL, "") }},
		{"a redirect without end", func(i *tokentest.Issuer) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, i.URL+"/x", http.StatusFound) }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
				i.Instead(test.at(i))
				v := fetching(t, i.Client(), rule("users", i.URL, nil))
				want(t, v, sign(t, i.Key("ES256"), i.Claims("orders")), authz.TokenKeysUnavailable)
				if i.Fetched().Keys > 0 {
					t.Error("the address was believed")
				}
			})
		})
	}
}

// TestRedirectToAnotherOrigin lets that origin serve a set that would be good.
func TestRedirectToAnotherOrigin(t *testing.T) {
	for _, target := range []string{"https://evil.example/jwks", "http://issuer.example/jwks", "https://issuer.example:8443/jwks"} {
		synctest.Test(t, func(t *testing.T) {
			i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
			i.Instead(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Scheme+"://"+r.URL.Host == i.URL {
					http.Redirect(w, r, target, http.StatusFound)
					return
				}
				json.NewEncoder(w).Encode(i.KeySet())
			}))
			v := fetching(t, i.Client(), rule("users", i.URL, func(r *token.Rule) { r.JWKSURI = i.KeysURL() }))
			want(t, v, sign(t, i.Key("ES256"), i.Claims("orders")), authz.TokenKeysUnavailable)
		})
	}
}

func TestDiscoveryPlaces(t *testing.T) {
	for _, test := range []struct{ name, issuer, served string }{
		{"OpenID", "https://issuer.example/tenant", "/tenant/.well-known/openid-configuration"},
		{"OpenID, slash at the end", "https://issuer.example/tenant/", "/tenant/.well-known/openid-configuration"},
		{"RFC 8414", "https://issuer.example/tenant", "/.well-known/oauth-authorization-server/tenant"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
				mux := http.NewServeMux()
				mux.HandleFunc(test.served, func(w http.ResponseWriter, _ *http.Request) {
					json.NewEncoder(w).Encode(map[string]any{"issuer": test.issuer, "jwks_uri": "https://issuer.example/moved"})
				})
				mux.Handle("/moved", http.RedirectHandler("/keys", http.StatusTemporaryRedirect)) // of the same origin
				mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(i.KeySet()) })
				i.Instead(mux)
				v := fetching(t, i.Client(), rule("users", test.issuer, nil))
				want(t, v, sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), map[string]any{"iss": test.issuer})), authz.Allowed)
			})
		})
	}
}

func TestFileIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
		name := filepath.Join(t.TempDir(), "keys.json")
		write := func(document any) {
			t.Helper()
			text, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(i.KeySet())
		v := fetching(t, i.Client(), rule("users", i.URL, func(r *token.Rule) { r.JWKSFile = name }))
		old := sign(t, i.Key("ES256"), i.Claims("orders"))
		want(t, v, old, authz.Allowed)
		next, err := i.Make("ES256")
		if err != nil {
			t.Fatal(err)
		}
		write("rubbish")
		time.Sleep(1200 * time.Millisecond)
		want(t, v, old, authz.Allowed)
		write(tokentest.KeySet(next))
		time.Sleep(1200 * time.Millisecond)
		want(t, v, old, authz.TokenKeyUnknown)
		want(t, v, sign(t, next, i.Claims("orders")), authz.Allowed)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		claims := tokentest.Change(i.Claims("orders"), map[string]any{"exp": time.Now().Unix() + 60, "iat": nil})
		want(t, v, sign(t, next, claims), authz.TokenKeysUnavailable)
	})
}

func TestInlineKeysNeverGrowStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
		text, err := json.Marshal(i.KeySet())
		if err != nil {
			t.Fatal(err)
		}
		v := fetching(t, i.Client(), rule("users", i.URL, func(r *token.Rule) { r.JWKS = string(text) }))
		time.Sleep(1000 * time.Hour)
		want(t, v, sign(t, i.Key("ES256"), i.Claims("orders")), authz.Allowed)
		began := time.Now()
		unknown, err := i.Key("ES256").Sign(map[string]any{"kid": "x"}, i.Claims("orders"))
		if err != nil {
			t.Fatal(err)
		}
		want(t, v, unknown, authz.TokenKeyUnknown)
		if time.Since(began) != 0 || i.Fetched() != (tokentest.Fetches{}) {
			t.Error("an unknown key of an inline set is looked for")
		}
	})
}

// huge is a set that is good and too large.
func huge(w http.ResponseWriter, _ *http.Request) {
	w.Write([]byte(`{"keys":[],"pad":"`))
	w.Write(make([]byte, 1<<20))
	w.Write([]byte(`"}`))
}

// crowded is a set of too many keys.
func crowded(w http.ResponseWriter, _ *http.Request) {
	json.NewEncoder(w).Encode(map[string]any{"keys": make([]map[string]any, 101)})
}

// elsewhere redirects to another origin.
func elsewhere(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "https://evil.example/jwks", http.StatusFound)
}

func TestBadSetNeverReplacesAGoodOne(t *testing.T) {
	for _, bad := range []http.HandlerFunc{tokentest.Failing, tokentest.Rubbish, tokentest.Empty, huge, crowded, elsewhere, unasked} {
		synctest.Test(t, func(t *testing.T) {
			i, v := offline(t, tokentest.Config{CacheControl: "max-age=60"}, func(r *token.Rule) { r.JWKSURI = "https://issuer.example/jwks" })
			i.Instead(bad)
			time.Sleep(10 * time.Minute)
			want(t, v, sign(t, i.Key("ES256"), i.Claims("orders")), authz.Allowed)
			if i.Fetched().Keys < 10 {
				t.Error("the set was not fetched again")
			}
		})
	}
}

// unasked answers "unchanged" to whoever did not ask that.
func unasked(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("If-None-Match") != "" {
		tokentest.Failing(w, r)
		return
	}
	w.WriteHeader(http.StatusNotModified)
}

func TestUnchangedSetIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := quietIssuer(t, "https://issuer.example", tokentest.Config{CacheControl: "max-age=3600"})
		statuses := make(map[int]int)
		v := fetching(t, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			response, err := i.Client().Transport.RoundTrip(r)
			if err == nil {
				statuses[response.StatusCode]++
			}
			return response, err
		})}, rule("users", i.URL, func(r *token.Rule) { r.JWKSURI = i.KeysURL() }))
		time.Sleep(48 * time.Hour) // confirmed all along, so never stale
		claims := tokentest.Change(i.Claims("orders"), map[string]any{"exp": time.Now().Unix() + 60})
		want(t, v, sign(t, i.Key("ES256"), claims), authz.Allowed)
		if statuses[http.StatusOK] != 1 || statuses[http.StatusNotModified] < 40 {
			t.Errorf("statuses %v, want one 200 and the rest 304", statuses)
		}
	})
}
