package token_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// One issuer that is down is a trouble, all of them are blindness. TestIssuerDownAtTheStart has two.
func TestBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
		i.Instead(http.HandlerFunc(tokentest.Failing))
		v := fetching(t, both(i, i), rule("users", i.URL, nil))
		synctest.Wait()
		if err := v.Blind(); err == nil || !strings.Contains(err.Error(), i.URL) {
			t.Errorf("without any keys: %v", err)
		}
		i.Instead(nil)
		if err := v.AwaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := v.Blind(); err != nil {
			t.Errorf("with keys: %v", err)
		}
	})
}

func TestBlindWithoutRules(t *testing.T) {
	v, err := token.New(t.Context(), token.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.Blind(); err != nil {
		t.Error(err)
	}
}
