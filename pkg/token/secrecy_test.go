package token_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

// TestErrorsQuoteNoToken looks for any piece of the request in the text of every refusal.
func TestErrorsQuoteNoToken(t *testing.T) {
	verifier := suiteVerifier(t)
	for file, some := range vectors(t) {
		for _, v := range some {
			_, err := verifier.Verify(t.Context(), v.request(t))
			if err == nil {
				continue
			}
			if e := new(authz.Error); !errors.As(err, &e) {
				t.Errorf("%s/%s: %T is no authz.Error", file, v.Name, err)
			}
			for _, values := range v.Headers {
				for _, value := range values {
					for piece := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(" .,;=", r) }) {
						if len(piece) > 8 && strings.Contains(err.Error(), piece) {
							t.Errorf("%s/%s: %q quotes the request", file, v.Name, err)
						}
					}
				}
			}
		}
	}
}

// TestIdentityBesideAnError shows that the record of a refusal has what was established before it.
func TestIdentityBesideAnError(t *testing.T) {
	verifier := suiteVerifier(t)
	for _, v := range vectors(t)["39-slots.json"] {
		if v.Name != "good user, expired workload" {
			continue
		}
		id, err := verifier.Verify(t.Context(), v.request(t))
		if err == nil {
			t.Fatal("no error")
		}
		got := make(map[string]authz.TokenStatus)
		for name, token := range id.Tokens {
			got[name] = token.Status
		}
		want := map[string]authz.TokenStatus{
			"users": authz.TokenValid, "workload": authz.TokenInvalid, "partner": authz.TokenMissing, "odd": authz.TokenMissing, "svid": authz.TokenMissing, "bare": authz.TokenMissing,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("slots (-want +got):\n%s", diff)
		}
		return
	}
	t.Fatal("the vector is gone")
}

// TestDotsCostNothing: a token of dots must not make the verifier build anything of its size.
func TestDotsCostNothing(t *testing.T) {
	verifier := suiteVerifier(t)
	few, many := bearer("..."), bearer(strings.Repeat(".", 8<<10))
	count := func(req *authz.Request) float64 {
		return testing.AllocsPerRun(100, func() { verifier.Verify(t.Context(), req) })
	}
	const noise = 5 // what else runs allocates too; a list of 8192 segments would be far more
	if a, b := count(few), count(many); b > a+noise {
		t.Errorf("%v allocations for 8192 dots, %v for three", b, a)
	}
}
