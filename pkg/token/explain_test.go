package token_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// TestExplainAgreesWithVerify holds for every vector that Explain says what Verify does, ends with
// the step that failed, and never shows a signature.
func TestExplainAgreesWithVerify(t *testing.T) {
	verifier := suiteVerifier(t)
	for file, some := range vectors(t) {
		for _, v := range some {
			t.Run(file+"/"+v.Name, func(t *testing.T) {
				wantID, want := verifier.Verify(t.Context(), v.request(t))
				id, steps, err := verifier.Explain(t.Context(), v.request(t))
				if diff := cmp.Diff(wantID, id); diff != "" {
					t.Errorf("identity (-Verify +Explain):\n%s", diff)
				}
				if shown(err) != shown(want) {
					t.Errorf("error %v, and %v by Verify", err, want)
				}
				failed := slices.IndexFunc(steps, func(s token.Step) bool { return s.Err != nil })
				if wantFailed := len(steps) - 1; err != nil && failed != wantFailed || err == nil && failed >= 0 {
					t.Errorf("step %d of %d failed", failed, len(steps))
				}
				for _, s := range steps {
					for _, text := range signatures(v) {
						if strings.Contains(s.Found, text) {
							t.Errorf("step %s shows the signature", s.Check)
						}
					}
				}
			})
		}
	}
}

func shown(err error) string {
	if err == nil {
		return ""
	}
	return string(authz.ReasonOf(err)) + " " + err.Error()
}

// signatures are the third segments of a vector's tokens, as far as they are long enough to be one.
func signatures(v vector) []string {
	var found []string
	for _, values := range v.Headers {
		for _, value := range values {
			if parts := strings.Split(value, "."); len(parts) == 3 && len(parts[2]) > 40 {
				found = append(found, parts[2])
			}
		}
	}
	return found
}

func TestExplain(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{Seed: "explain"})
	v := pinned(t, i, nil)
	good := func(changes map[string]any) string {
		return sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), changes))
	}
	whole := []token.Check{
		token.CheckPlace, token.CheckForm, token.CheckIssuer, token.CheckAlone, token.CheckType, token.CheckAlgorithm,
		token.CheckKey, token.CheckSignature, token.CheckClaims, token.CheckKind, token.CheckTime, token.CheckAudience,
	}
	until := func(last token.Check) []token.Check { return whole[:slices.Index(whole, last)+1] }
	for _, test := range []struct {
		name, text string
		want       []token.Check
		wantFound  string // in the last step
	}{
		{"a good token", good(nil), whole, `aud is "orders"; the rule takes "orders"`},
		{"no token", "", until(token.CheckPlace), `header "authorization" after "bearer ": nothing`},
		{"no JWS", "abc", until(token.CheckForm), "3 bytes"},
		{"another issuer", good(map[string]any{"iss": "https://other.example"}), until(token.CheckIssuer),
			`iss is "https://other.example"; the rules for this place take "https://issuer.example"`},
		{"another key", strings.Replace(good(nil), header(t, i.Key("ES256").ID), header(t, "other"), 1), until(token.CheckKey),
			`kid is "other"; the issuer's keys are "ES256-1"`},
		{"a bad signature", good(nil)[:len(good(nil))-4] + "AAAA", until(token.CheckSignature), `64 bytes, against the key "ES256-1"`},
		{"a bad claim", good(map[string]any{"exp": "soon"}), until(token.CheckClaims), ""},
		{"an ID token", good(map[string]any{"nonce": "x"}), until(token.CheckKind), ""},
		{"expired", good(map[string]any{"iat": 1000, "exp": 2000}), until(token.CheckTime), "iat 1970-01-01T00:16:40Z; exp 1970-01-01T00:33:20Z"},
		{"another audience", good(map[string]any{"aud": []string{"a", "b"}}), until(token.CheckAudience), `aud is "a", "b"; the rule takes "orders"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := bearer(test.text)
			if test.text == "" {
				req = request(nil)
			}
			_, steps, err := v.Explain(t.Context(), req)
			var got []token.Check
			for _, s := range steps {
				got = append(got, s.Check)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Fatalf("checks (-want +got):\n%s", diff)
			}
			last := steps[len(steps)-1]
			if !strings.Contains(last.Found, test.wantFound) {
				t.Errorf("found %q, want %q", last.Found, test.wantFound)
			}
			if shown(last.Err) != shown(err) {
				t.Errorf("the last step failed with %v, the request with %v", last.Err, err)
			}
		})
	}
}

// TestExplainMore is about the checks that only some rules and tokens need.
func TestExplainMore(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{Seed: "explain"})
	name, _ := listFile(t, "revoked: [{issuer: 'https://issuer.example', jti: gone}]")
	v := start(t, token.Config{
		Logger: slog.New(slog.DiscardHandler), Revocation: token.Revocation{File: name},
		Rules: []token.Rule{withKeys(t, "users", i, func(r *token.Rule) {
			r.Required, r.MaxLifetime, r.OutputClaimToHeaders = true, time.Hour, []token.ClaimHeader{{Header: "x-user", Claim: "sub"}}
		})},
	})
	thumbprint := strings.Repeat("A", 43)
	good := map[string]any{"exp": time.Now().Add(time.Minute).Unix(), "cnf": map[string]any{"x5t#S256": thumbprint}}
	for _, test := range []struct {
		name      string
		changes   map[string]any
		want      token.Check
		wantFound string
	}{
		{"too long a life", map[string]any{"exp": time.Now().Add(2 * time.Hour).Unix()}, token.CheckLifetime, "the rule allows 1h0m0s"},
		{"bound to a key", map[string]any{"cnf": map[string]any{"jkt": "x"}}, token.CheckBinding, `cnf has "jkt"; x5t#S256 is checked`},
		{"revoked", map[string]any{"jti": "gone"}, token.CheckRevocation, "by jti, sid, client_id, azp and sub"},
		{"bound to a certificate", nil, token.CheckCertificate, `cnf has the thumbprint "` + thumbprint + `"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), tokentest.Change(good, test.changes)))
			_, steps, err := v.Explain(t.Context(), bearer(text))
			last := steps[len(steps)-1]
			if last.Check != test.want || !strings.Contains(last.Found, test.wantFound) || last.Err == nil {
				t.Errorf("the last step is %s, found %q (%v)", last.Check, last.Found, err)
			}
		})
	}
	_, steps, err := v.Explain(t.Context(), request(nil))
	if last := steps[len(steps)-1]; last.Check != token.CheckRequired || last.Rule != "users" || reasonOf(err) != authz.TokenRequired {
		t.Errorf("the last step is %s of %q (%v)", last.Check, last.Rule, err)
	}
}

// TestExplainPassesTheCacheBy holds that a cached token shows all its steps.
func TestExplainPassesTheCacheBy(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	v := pinned(t, i, nil)
	text := sign(t, i.Key("ES256"), i.Claims("orders"))
	want(t, v, text, authz.Allowed)
	hits(t, v, text)
	_, steps, err := v.Explain(t.Context(), bearer(text))
	if err != nil || !slices.ContainsFunc(steps, func(s token.Step) bool { return s.Check == token.CheckSignature }) {
		t.Errorf("%d steps, none of them the signature (%v)", len(steps), err)
	}
}

// header is the header of a token by ES256, as tokentest writes it.
func header(t *testing.T, kid string) string {
	t.Helper()
	key, err := tokentest.NewKey(kid, "ES256", "")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(sign(t, key, nil), ".")
	return text
}

func TestAwaitKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := quietIssuer(t, "https://up.example", tokentest.Config{})
		down := quietIssuer(t, "https://down.example", tokentest.Config{})
		down.Instead(http.HandlerFunc(tokentest.Failing))
		client := &http.Client{Transport: hosts{"up.example": up, "down.example": down}}
		v := fetching(t, client, rule("up", up.URL, nil), rule("down", down.URL, nil))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for name, want := range map[string]string{"up": "", "down": "status 500", "other": `no rule "other"`} {
			if err := v.AwaitKeys(ctx, name); err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	})
}

// hosts hands requests to the issuer of the host's name.
type hosts map[string]*tokentest.Issuer

func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	return h[r.URL.Host].Client().Transport.RoundTrip(r)
}
