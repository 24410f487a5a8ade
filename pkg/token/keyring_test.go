package token_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// These tests run in bubbles of testing/synctest: time passes when nothing else can, so hours take
// no time, and an issuer without a network is reached through its Client.

// offline makes an issuer and a Verifier that reaches it.
func offline(t *testing.T, cfg tokentest.Config, change func(*token.Rule)) (*tokentest.Issuer, *token.Verifier) {
	t.Helper()
	i := quietIssuer(t, "https://issuer.example", cfg)
	return i, fetching(t, i.Client(), rule("users", i.URL, change))
}

func quietIssuer(t *testing.T, url string, cfg tokentest.Config) *tokentest.Issuer {
	t.Helper()
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = []string{"ES256"}
	}
	i, err := tokentest.Offline(url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func rule(name, issuer string, change func(*token.Rule)) token.Rule {
	r := token.Rule{Name: name, Issuer: issuer, Audiences: []string{"orders"}}
	if change != nil {
		change(&r)
	}
	return r
}

func fetching(t *testing.T, client *http.Client, rules ...token.Rule) *token.Verifier {
	t.Helper()
	v, err := token.New(t.Context(), token.Config{Rules: rules, HTTPClient: client, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	synctest.Wait()
	return v
}

func sign(t testing.TB, key *tokentest.Key, claims map[string]any) string {
	t.Helper()
	text, err := key.Sign(nil, claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// want verifies a token and compares the reason; "allowed" where it must be good.
func want(t *testing.T, v *token.Verifier, text string, reason authz.Reason) {
	t.Helper()
	_, err := v.Verify(t.Context(), bearer(text))
	got := authz.Allowed
	if err != nil {
		got = authz.ReasonOf(err)
	}
	if got != reason {
		t.Errorf("reason %q, want %q (%v)", got, reason, err)
	}
}

func TestIssuerDownAtTheStart(t *testing.T) {
	for _, down := range []struct {
		name string
		as   http.HandlerFunc
	}{{"failing", tokentest.Failing}, {"hanging", tokentest.Hanging}, {"rubbish", tokentest.Rubbish}, {"empty", tokentest.Empty}} {
		for _, outage := range []time.Duration{0, 10 * time.Second, 3 * time.Hour} {
			t.Run(fmt.Sprint(down.name, " for ", outage), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
					other := quietIssuer(t, "https://other.example", tokentest.Config{})
					i.Instead(down.as)
					v := fetching(t, both(i, other), rule("users", i.URL, nil), rule("others", other.URL, nil))
					time.Sleep(outage)
					want(t, v, sign(t, i.Key("ES256"), i.Claims("orders")), authz.TokenKeysUnavailable)
					want(t, v, sign(t, other.Key("ES256"), other.Claims("orders")), authz.Allowed)
					if v.Ready() == nil {
						t.Error("ready without keys")
					}
					if err := v.Blind(); err != nil {
						t.Errorf("blind for one issuer of two: %v", err)
					}
					i.Instead(nil)
					back := time.Now()
					if err := v.AwaitReady(t.Context()); err != nil {
						t.Fatal(err)
					}
					limit := 2 * time.Second
					if down.name == "hanging" {
						limit += 5 * time.Second // the attempt under way runs into its limit first
					}
					if waited := time.Since(back); waited > limit {
						t.Errorf("served %s after the issuer came back", waited)
					}
					want(t, v, sign(t, i.Key("ES256"), i.Claims("orders")), authz.Allowed)
					if err := v.Ready(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// both reaches several issuers by host.
func both(issuers ...*tokentest.Issuer) *http.Client {
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		for _, i := range issuers {
			if i.URL == r.URL.Scheme+"://"+r.URL.Host {
				return i.Client().Transport.RoundTrip(r)
			}
		}
		return nil, fmt.Errorf("nobody is at %s", r.URL.Host)
	})}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestUnknownKeysCauseFewFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := offline(t, tokentest.Config{}, nil)
		claims := i.Claims("orders")
		key := i.Key("ES256")
		var wait sync.WaitGroup
		for worker := range 10 {
			wait.Go(func() {
				for n := range 1000 {
					text, err := key.Sign(map[string]any{"kid": fmt.Sprint(worker, "-", n)}, claims)
					if err != nil {
						t.Error(err)
					}
					want(t, v, text, authz.TokenKeyUnknown)
				}
			})
		}
		wait.Wait()
		if got := i.Fetched().Keys; got > 3 {
			t.Errorf("%d fetches for 10000 unknown keys, want at most 3", got)
		}
		want(t, v, sign(t, key, claims), authz.Allowed)
	})
}

func TestUnknownKeyIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := offline(t, tokentest.Config{}, nil)
		text, err := i.Key("ES256").Sign(map[string]any{"kid": "x"}, i.Claims("orders"))
		if err != nil {
			t.Fatal(err)
		}
		fetched := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			if _, err := v.Verify(t.Context(), bearer(text)); authz.ReasonOf(err) != authz.TokenKeyUnknown {
				t.Errorf("reason %q", authz.ReasonOf(err))
			}
			if got := i.Fetched().Keys; got != want {
				t.Errorf("%d fetches, want %d", got, want)
			}
		}
		fetched(0, 2)
		fetched(29*time.Second, 2)
		fetched(time.Second, 3)
	})
}

// TestUnknownKeyDuringAnOutage: an id is not held for unknown that nobody could ask for.
func TestUnknownKeyDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := offline(t, tokentest.Config{}, nil)
		key, err := i.Rotate("ES256")
		if err != nil {
			t.Fatal(err)
		}
		i.Instead(http.HandlerFunc(tokentest.Failing))
		want(t, v, sign(t, key, i.Claims("orders")), authz.TokenKeysUnavailable)
		i.Instead(nil)
		want(t, v, sign(t, key, i.Claims("orders")), authz.Allowed)
	})
}

// TestKeyPublishedDuringAFetch: a fetch that began too early to see a new key is not the last word on it.
func TestKeyPublishedDuringAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := offline(t, tokentest.Config{}, func(r *token.Rule) { r.JWKSURI = "https://issuer.example/jwks" })
		i.Instead(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			set := i.KeySet()
			time.Sleep(50 * time.Millisecond)
			json.NewEncoder(w).Encode(set)
		}))
		unknown, err := i.Key("ES256").Sign(map[string]any{"kid": "x"}, i.Claims("orders"))
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		wait.Go(func() { want(t, v, unknown, authz.TokenKeyUnknown) })
		synctest.Wait() // the fetch is under way
		key, err := i.Rotate("ES256")
		if err != nil {
			t.Fatal(err)
		}
		want(t, v, sign(t, key, i.Claims("orders")), authz.Allowed)
		wait.Wait()
	})
}

func TestRotationUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := offline(t, tokentest.Config{CacheControl: "max-age=60"}, nil)
		var wait sync.WaitGroup
		stop := make(chan struct{})
		for range 8 {
			wait.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
					}
					text, err := i.Token("orders", nil)
					if err != nil {
						t.Error(err)
					}
					want(t, v, text, authz.Allowed)
				}
			})
		}
		for range 3 {
			time.Sleep(15 * time.Second)
			old := i.Key("ES256")
			if _, err := i.Rotate("ES256"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(15 * time.Second)
			i.Withdraw(old)
		}
		close(stop)
		wait.Wait()
	})
}

func TestWithdrawnKeyIsRefusedWithinOneRefresh(t *testing.T) {
	for _, test := range []struct {
		cacheControl string
		refresh      time.Duration
	}{
		{"max-age=60", time.Minute}, {"max-age=1", time.Minute}, {"no-store", time.Minute},
		{"max-age=1800, public", 30 * time.Minute}, {"max-age=99999999", time.Hour}, {"", 10 * time.Minute}, {"max-age=x", 10 * time.Minute},
	} {
		t.Run(test.cacheControl, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, v := offline(t, tokentest.Config{CacheControl: test.cacheControl}, nil)
				old := i.Key("ES256")
				if _, err := i.Rotate("ES256"); err != nil {
					t.Fatal(err)
				}
				i.Withdraw(old)
				text := sign(t, old, tokentest.Change(i.Claims("orders"), map[string]any{"exp": time.Now().Unix() + 9999}))
				time.Sleep(test.refresh * 89 / 100)
				want(t, v, text, authz.Allowed)
				time.Sleep(test.refresh * 22 / 100)
				want(t, v, text, authz.TokenKeyUnknown)
			})
		})
	}
}

func TestStaleKeysAreKeptForADay(t *testing.T) {
	for _, down := range []http.HandlerFunc{tokentest.Failing, tokentest.Hanging, tokentest.Rubbish, tokentest.Empty} {
		synctest.Test(t, func(t *testing.T) {
			i, v := offline(t, tokentest.Config{CacheControl: "max-age=60"}, nil)
			text := sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), map[string]any{"exp": time.Now().Unix() + 99999}))
			i.Instead(down)
			time.Sleep(24 * time.Hour)
			want(t, v, text, authz.Allowed)
			time.Sleep(2 * time.Minute)
			want(t, v, text, authz.TokenKeysUnavailable)
			if v.Ready() == nil {
				t.Error("ready with stale keys")
			}
			i.Instead(nil)
			time.Sleep(2 * time.Minute)
			want(t, v, text, authz.Allowed)
		})
	}
}

func TestFailedFetchesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := offline(t, tokentest.Config{CacheControl: "max-age=60"}, nil)
		i.Instead(http.HandlerFunc(tokentest.Failing))
		time.Sleep(10 * time.Minute)
		// 1+2+4+8+16+32 s, then one a minute.
		if got := i.Fetched().Keys + i.Fetched().Discovery; got < 14 || got > 20 {
			t.Errorf("%d fetches in ten minutes of failure, want 14 to 20", got)
		}
		if err := v.Ready(); err != nil {
			t.Errorf("not ready with keys ten minutes old: %v", err)
		}
	})
}
