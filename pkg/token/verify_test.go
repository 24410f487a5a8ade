package token_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

var everyAlgorithm = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// pinned makes a Verifier with the issuer's keys in its configuration; change changes the set.
func pinned(t *testing.T, i *tokentest.Issuer, change func(jwk map[string]any)) *token.Verifier {
	t.Helper()
	set := i.KeySet()
	for _, member := range set["keys"].([]any) {
		if change != nil {
			change(member.(map[string]any))
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, token.Config{
		Logger: slog.New(slog.DiscardHandler),
		Rules:  []token.Rule{rule("users", i.URL, func(r *token.Rule) { r.JWKS = string(text) })},
	})
}

// TestAlgorithmMatrix signs with every key under the name of every algorithm, with the kid of the
// signing key and of a key for that algorithm: only what fits in all three is taken.
func TestAlgorithmMatrix(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{Algorithms: everyAlgorithm, Seed: "matrix"})
	for name, change := range map[string]func(map[string]any){
		"keys with alg":    nil,
		"keys without alg": func(jwk map[string]any) { delete(jwk, "alg") },
	} {
		t.Run(name, func(t *testing.T) {
			v := pinned(t, i, change)
			for _, signer := range everyAlgorithm {
				for _, said := range append(everyAlgorithm, "none", "HS256", "HS512") {
					for _, kid := range []string{signer, said} {
						if i.Key(kid) == nil {
							continue
						}
						text, err := i.Key(signer).Sign(map[string]any{"alg": said, "kid": i.Key(kid).ID}, i.Claims("orders"))
						if err != nil {
							t.Fatal(err)
						}
						_, err = v.Verify(t.Context(), bearer(text))
						if fits := signer == said && signer == kid; (err == nil) != fits {
							t.Errorf("%s's signature called %s for %s's key: %v", signer, said, kid, err)
						}
					}
				}
			}
		})
	}
}

// TestTamperedBytes changes every character of good tokens.
func TestTamperedBytes(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{Algorithms: []string{"RS256", "ES256", "EdDSA"}, Seed: "tampered"})
	v := pinned(t, i, nil)
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		text := sign(t, i.Key(alg), i.Claims("orders"))
		want(t, v, text, authz.Allowed)
		for at := range len(text) {
			for _, c := range []byte("Ab9_.=! ") {
				if text[at] == c {
					continue
				}
				changed := text[:at] + string(c) + text[at+1:]
				if _, err := v.Verify(t.Context(), bearer(changed)); err == nil {
					t.Errorf("%s: byte %d changed to %q, and still valid", alg, at, c)
				}
			}
			if _, err := v.Verify(t.Context(), bearer(text[:at])); err == nil {
				t.Errorf("%s: cut off at byte %d, and still valid", alg, at)
			}
		}
	}
}

func TestLeeway(t *testing.T) {
	now := time.Unix(1900000000, 0)
	r := inlineRule(t, nil)
	key, err := tokentest.NewKey("k", "ES256", "config")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		leeway time.Duration
		exp    int64
		want   authz.Reason
	}{
		{"default, inside", 0, -29, authz.Allowed},
		{"default, outside", 0, -30, authz.TokenExpired},
		{"none, inside", -1, 1, authz.Allowed},
		{"none, outside", -1, 0, authz.TokenExpired},
		{"longest, inside", 300 * time.Second, -299, authz.Allowed},
		{"longest, outside", 300 * time.Second, -300, authz.TokenExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := start(t, token.Config{
				Rules: []token.Rule{r}, Leeway: test.leeway, Logger: slog.New(slog.DiscardHandler),
				Now: func() time.Time { return now },
			})
			want(t, v, sign(t, key, map[string]any{"iss": r.Issuer, "aud": "orders", "exp": now.Unix() + test.exp}), test.want)
		})
	}
}

func TestMaxTokenBytes(t *testing.T) {
	r := inlineRule(t, nil)
	key, err := tokentest.NewKey("k", "ES256", "config")
	if err != nil {
		t.Fatal(err)
	}
	text := sign(t, key, map[string]any{"iss": r.Issuer, "aud": "orders", "exp": time.Now().Unix() + 60})
	for _, test := range []struct {
		max  int
		want authz.Reason
	}{{len(text), authz.Allowed}, {len(text) - 1, authz.TokenMalformed}} {
		v := start(t, token.Config{Rules: []token.Rule{r}, MaxTokenBytes: test.max, Logger: slog.New(slog.DiscardHandler)})
		want(t, v, text, test.want)
	}
}

// lines is a log handler that hands over every line.
type lines struct{ to chan slog.Record }

func (l lines) Enabled(context.Context, slog.Level) bool { return true }
func (l lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l lines) WithGroup(string) slog.Handler            { return l }
func (l lines) Handle(_ context.Context, r slog.Record) error {
	select {
	case l.to <- r:
	default: // nobody reads any more
	}
	return nil
}

func TestUntrustedCertificateGivesNoKeys(t *testing.T) {
	i := issuer(t, tokentest.Config{TLS: true, Algorithms: []string{"ES256"}})
	log := lines{make(chan slog.Record, 10)}
	v, err := token.New(t.Context(), token.Config{Logger: slog.New(log), Rules: []token.Rule{rule("users", i.URL, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if line := <-log.to; line.Message != "token: keys not refreshed" {
		t.Fatalf("logged %q", line.Message)
	}
	want(t, v, sign(t, i.Key("ES256"), i.Claims("orders")), authz.TokenKeysUnavailable)
	if err := v.Ready(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("readiness says %v, want the certificate named", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.AwaitReady(ctx); err == nil {
		t.Error("awaited keys that cannot come")
	}
}

func TestLeakedKeyIsReported(t *testing.T) {
	r := inlineRule(t, nil)
	r.JWKS = strings.Replace(r.JWKS, `"keys":[`, `"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"c2VjcmV0LXNjYWxhcg"},`, 1)
	log := lines{make(chan slog.Record, 10)}
	start(t, token.Config{Rules: []token.Rule{r}, Logger: slog.New(log)})
	line := <-log.to
	if line.Level != slog.LevelError {
		t.Errorf("level %s, want ERROR", line.Level)
	}
	line.Attrs(func(a slog.Attr) bool {
		if strings.Contains(a.Value.String(), "c2VjcmV0LXNjYWxhcg") {
			t.Error("the log has the key")
		}
		return true
	})
}

// TestTwoSchemes: two schemes in one header are two places.
func TestTwoSchemes(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	keys, err := json.Marshal(i.KeySet())
	if err != nil {
		t.Fatal(err)
	}
	v := start(t, token.Config{Logger: slog.New(slog.DiscardHandler), Rules: []token.Rule{
		rule("users", i.URL, func(r *token.Rule) { r.JWKS = string(keys) }),
		rule("devices", i.URL, func(r *token.Rule) {
			r.JWKS, r.FromHeaders = string(keys), []token.HeaderSource{{Name: "Authorization", Prefix: "Device "}}
		}),
	}})
	text := sign(t, i.Key("ES256"), i.Claims("orders"))
	id, err := v.Verify(t.Context(), request(authz.Headers{"authorization": {"device " + text}}))
	if err != nil {
		t.Fatal(err)
	}
	if id.Tokens["devices"].Status != authz.TokenValid || id.Tokens["users"].Status != authz.TokenMissing {
		t.Errorf("slots %v", id.Tokens)
	}
}

// TestOneTokenInTwoSlots: two rules may believe one issuer in two places, and a user's token must
// still not make a workload.
func TestOneTokenInTwoSlots(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	keys, err := json.Marshal(i.KeySet())
	if err != nil {
		t.Fatal(err)
	}
	v := start(t, token.Config{Logger: slog.New(slog.DiscardHandler), Rules: []token.Rule{
		rule("users", i.URL, func(r *token.Rule) { r.JWKS = string(keys) }),
		rule("workload", i.URL, func(r *token.Rule) {
			r.JWKS, r.FromHeaders = string(keys), []token.HeaderSource{{Name: "X-Workload-Token"}}
		}),
	}})
	one, other := sign(t, i.Key("ES256"), i.Claims("orders")), sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), map[string]any{"sub": "shop"}))
	for _, test := range []struct {
		name, workload string
		want           authz.Reason
	}{{"two tokens", other, authz.Allowed}, {"one token twice", one, authz.TokenMultiple}} {
		_, err := v.Verify(t.Context(), request(authz.Headers{"authorization": {"Bearer " + one}, "x-workload-token": {test.workload}}))
		got := authz.Allowed
		if err != nil {
			got = authz.ReasonOf(err)
		}
		if got != test.want {
			t.Errorf("%s: reason %q, want %q (%v)", test.name, got, test.want, err)
		}
	}
}
