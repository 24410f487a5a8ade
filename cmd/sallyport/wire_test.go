package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// TestTokenRule holds that no setting of a rule is lost on the way to the first door.
func TestTokenRule(t *testing.T) {
	from := config.Rule{
		Name: "a", Issuer: "b", TrustDomain: "o", Required: true, MaxLifetime: time.Hour, Audiences: []string{"c"}, Algorithms: []string{"d"}, Types: []string{"e"},
		JWKS: "f", JWKSFile: "g", JWKSURI: "h", AllowInsecureHTTP: true, Timeout: time.Second,
		FromHeaders: []config.HeaderSource{{Name: "i"}}, FromCookies: []string{"j"}, FromParams: []string{"k"},
		ForwardOriginalToken: true, OutputClaimToHeaders: []config.ClaimToHeader{{Header: "l"}},
		OutputPayloadToHeader: "m", SpaceDelimitedClaims: []string{"n"},
	}
	to := reflect.ValueOf(tokenRule(from))
	for _, field := range reflect.VisibleFields(reflect.TypeFor[config.Rule]()) {
		if reflect.ValueOf(from).FieldByIndex(field.Index).IsZero() {
			t.Errorf("give %s a value here", field.Name)
		}
		if value := to.FieldByName(field.Name); !value.IsValid() || value.IsZero() {
			t.Errorf("%s is lost", field.Name)
		}
	}
}

// TestMemoBytes holds that 0 in the file turns the memo off, which in policy.Config is the default.
func TestMemoBytes(t *testing.T) {
	for written, want := range map[config.Size]int{0: -1, 1 << 20: 1 << 20} {
		cfg := config.Default()
		cfg.Policy.Memo.MaxBytes = written
		if got := policyConfig(&cfg, nil).MemoBytes; got != want {
			t.Errorf("%d bytes in the file became %d, want %d", written, got, want)
		}
	}
}
