package token_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// hits fails unless a token is in the cache: a verification allocates far more than a hit.
func hits(t *testing.T, v *token.Verifier, text string) {
	t.Helper()
	const most = 8
	if n := testing.AllocsPerRun(100, func() { v.Verify(t.Context(), bearer(text)) }); n > most {
		t.Errorf("%v allocations: the token was verified again", n)
	}
}

// TestTamperedCachedToken changes every byte of a token in every other way, while it is in the cache.
func TestTamperedCachedToken(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{Algorithms: []string{"EdDSA"}, Seed: "tampered"})
	v := pinned(t, i, nil)
	text := sign(t, i.Key("EdDSA"), i.Claims("orders"))
	want(t, v, text, authz.Allowed)
	hits(t, v, text)
	for at := range len(text) {
		for c := range 256 {
			if byte(c) == text[at] {
				continue
			}
			changed := text[:at] + string([]byte{byte(c)}) + text[at+1:]
			if _, err := v.Verify(t.Context(), bearer(changed)); err == nil {
				t.Errorf("byte %d changed to %#x, and still valid", at, c)
			}
		}
		for _, other := range []string{text[:at], text[:at] + text[at+1:], text[:at] + "A" + text[at:], text[:at] + text[at:at+1] + text[at:]} {
			if _, err := v.Verify(t.Context(), bearer(other)); err == nil {
				t.Errorf("cut or longer at byte %d, and still valid", at)
			}
		}
	}
	want(t, v, text+"A", authz.TokenSignature)
	hits(t, v, text) // garbage pushed nothing out
}

func TestCachedIdentityIsTheSame(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	v := quietly(t, withKeys(t, "users", i, func(r *token.Rule) {
		r.OutputClaimToHeaders = []token.ClaimHeader{{Header: "x-user", Claim: "sub"}, {Header: "x-mail", Claim: "mail"}}
	}))
	req := bearer(sign(t, i.Key("ES256"), i.Claims("orders")))
	first, err := v.Verify(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	second, err := v.Verify(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("(-first +second):\n%s", diff)
	}
	if diff := cmp.Diff([]authz.Header{{Name: "x-user", Value: "alice"}}, second.Upstream.SetHeaders); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	second.Upstream.SetHeaders[0].Value = "mallory" // the identity's own, not the cache's
	if third, _ := v.Verify(t.Context(), req); third.Upstream.SetHeaders[0].Value != "alice" {
		t.Error("a change to one identity reached another")
	}
}

func TestTimeOnAHit(t *testing.T) {
	begin := time.Unix(1900000000, 0)
	var now atomic.Int64
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{Now: func() time.Time { return begin }})
	v := start(t, token.Config{
		Rules: []token.Rule{withKeys(t, "users", i, nil)}, Logger: slog.New(slog.DiscardHandler), Leeway: 10 * time.Second,
		Now: func() time.Time { return begin.Add(time.Duration(now.Load())) },
	})
	text := sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), map[string]any{"nbf": begin.Unix() - 60, "exp": begin.Unix() + 60}))
	for _, test := range []struct {
		after time.Duration
		want  authz.Reason
	}{
		{0, authz.Allowed},
		{70*time.Second - 1, authz.Allowed},
		{70 * time.Second, authz.TokenExpired},
		{time.Hour, authz.TokenExpired},
		{-10 * time.Second, authz.Allowed}, // a clock that was set back
		{-11 * time.Second, authz.TokenNotYetValid},
		{-71 * time.Second, authz.TokenNotYetValid},
		{0, authz.Allowed},
	} {
		now.Store(int64(test.after))
		want(t, v, text, test.want)
		want(t, v, text, test.want)
	}
}

// TestKeysOnAHit withdraws and exchanges the key of a token in the cache.
func TestKeysOnAHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := offline(t, tokentest.Config{Algorithms: []string{"ES256", "EdDSA"}}, nil)
		old := i.Key("ES256")
		text := sign(t, old, i.Claims("orders"))
		refreshed := func() { time.Sleep(12 * time.Minute); synctest.Wait() }
		want(t, v, text, authz.Allowed)
		if _, err := i.Rotate("ES256"); err != nil {
			t.Fatal(err)
		}
		refreshed()
		hits(t, v, text) // a new key beside the old one costs no verification
		want(t, v, text, authz.Allowed)

		i.Withdraw(old)
		refreshed()
		want(t, v, text, authz.TokenKeyUnknown)

		i.Publish(old)
		refreshed()
		want(t, v, text, authz.Allowed)
		other, err := tokentest.NewKey(old.ID, "ES256", "")
		if err != nil {
			t.Fatal(err)
		}
		i.Withdraw(old)
		i.Publish(other)
		refreshed()
		want(t, v, text, authz.TokenSignature)
		want(t, v, sign(t, other, i.Claims("orders")), authz.Allowed)
	})
}

// TestStaleKeysOnAHit: keys that nobody confirms any more serve no cached token either.
func TestStaleKeysOnAHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := offline(t, tokentest.Config{}, nil)
		text := sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), map[string]any{"exp": time.Now().Add(99 * time.Hour).Unix()}))
		want(t, v, text, authz.Allowed)
		i.Instead(http.HandlerFunc(tokentest.Failing))
		time.Sleep(23 * time.Hour)
		want(t, v, text, authz.Allowed)
		time.Sleep(2 * time.Hour)
		want(t, v, text, authz.TokenKeysUnavailable)
	})
}

// TestAnotherSlot shows a token that one slot knows to another, which has other audiences, and to a
// place that other rules read.
func TestAnotherSlot(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	v := quietly(t,
		withKeys(t, "users", i, nil),
		withKeys(t, "carts", i, func(r *token.Rule) {
			r.Audiences, r.FromHeaders = []string{"carts"}, []token.HeaderSource{{Name: "X-Cart"}}
		}),
		withKeys(t, "more", quietIssuer(t, "https://other.example", tokentest.Config{}), func(r *token.Rule) { r.FromCookies = []string{"other"} }))
	text := sign(t, i.Key("ES256"), i.Claims("orders"))
	for range 2 {
		want(t, v, text, authz.Allowed)
		for header, reason := range map[string]authz.Reason{"x-cart": authz.TokenAudience, "cookie": authz.TokenIssuerUnknown} {
			value := map[string]string{"x-cart": text, "cookie": "other=" + text}[header]
			if _, err := v.Verify(t.Context(), request(authz.Headers{header: {value}})); reasonOf(err) != reason {
				t.Errorf("%s: reason %q, want %q", header, reasonOf(err), reason)
			}
		}
	}
}

// TestBoundTokenOnAHit: the connection is looked at every time.
func TestBoundTokenOnAHit(t *testing.T) {
	v, all := suiteVerifier(t), vectors(t)["41-cnf.json"]
	good, bad, none := find(t, all, "the certificate"), find(t, all, "another certificate"), find(t, all, "no certificate")
	if cmp.Diff(good.Headers, bad.Headers) != "" || cmp.Diff(good.Headers, none.Headers) != "" {
		t.Fatal("not the same token")
	}
	for range 3 {
		good.check(t, v)
		bad.check(t, v)
		none.check(t, v)
	}
}

func TestCacheOff(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	v := start(t, token.Config{Rules: []token.Rule{withKeys(t, "users", i, nil)}, CacheBytes: -1, Logger: slog.New(slog.DiscardHandler)})
	text := sign(t, i.Key("ES256"), i.Claims("orders"))
	want(t, v, text, authz.Allowed)
	if n := testing.AllocsPerRun(10, func() { v.Verify(t.Context(), bearer(text)) }); n < 20 {
		t.Errorf("%v allocations: that was no verification", n)
	}
}

// TestCacheConcurrently mixes good, bad and new tokens, with a cache so small that they push each
// other out.
func TestCacheConcurrently(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{Algorithms: []string{"EdDSA"}})
	v := start(t, token.Config{Rules: []token.Rule{withKeys(t, "users", i, nil)}, CacheBytes: 128 << 10, Logger: slog.New(slog.DiscardHandler)})
	var texts []string
	for n := range 100 {
		texts = append(texts, sign(t, i.Key("EdDSA"), tokentest.Change(i.Claims("orders"), map[string]any{"sub": fmt.Sprint("user-", n)})))
	}
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for round := range 500 {
				n := (round*7 + worker*13) % len(texts)
				id, err := v.Verify(t.Context(), bearer(texts[n]))
				if err != nil || id.Tokens["users"].Claims["sub"] != fmt.Sprint("user-", n) {
					t.Errorf("token %d gave %v (%v)", n, id.Tokens["users"].Claims["sub"], err)
				}
				if _, err := v.Verify(t.Context(), bearer(texts[n]+"A")); err == nil {
					t.Error("a changed token was let through")
				}
			}
		})
	}
	wait.Wait()
}

// TestRefusedTokensAreNotKept: what was refused once is judged anew, and takes no room.
func TestRefusedTokensAreNotKept(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	v := start(t, token.Config{Rules: []token.Rule{withKeys(t, "users", i, nil)}, CacheBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler)})
	text := sign(t, i.Key("ES256"), i.Claims("orders"))
	want(t, v, text, authz.Allowed)
	for n := range 1000 {
		claims, err := json.Marshal(tokentest.Change(i.Claims("payments"), map[string]any{"n": n}))
		if err != nil {
			t.Fatal(err)
		}
		bad, err := i.Key("ES256").SignBytes([]byte(`{"alg":"ES256","kid":"`+i.Key("ES256").ID+`"}`), claims)
		if err != nil {
			t.Fatal(err)
		}
		want(t, v, bad, authz.TokenAudience)
	}
	hits(t, v, text)
}
