package token_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

func TestHungIssuerSlowsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := quietIssuer(t, "https://hung.example", tokentest.Config{})
		well := quietIssuer(t, "https://well.example", tokentest.Config{})
		v := fetching(t, both(hung, well), rule("a", hung.URL, nil), rule("b", well.URL, nil))
		hung.Instead(http.HandlerFunc(tokentest.Hanging))
		unknown, err := hung.Key("ES256").Sign(map[string]any{"kid": "new"}, hung.Claims("orders"))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() { want(t, v, unknown, authz.TokenKeysUnavailable) })
		}
		synctest.Wait() // all of them wait now
		for range 100 {
			want(t, v, sign(t, well.Key("ES256"), well.Claims("orders")), authz.Allowed)
			want(t, v, sign(t, hung.Key("ES256"), hung.Claims("orders")), authz.Allowed)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("known keys waited %s", took)
		}
		wait.Wait()
		if took := time.Since(began); took > 200*time.Millisecond {
			t.Errorf("unknown keys waited %s, want at most 200ms", took)
		}
	})
}

func TestDeadlineEndsTheWaitForAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := offline(t, tokentest.Config{}, nil)
		i.Instead(http.HandlerFunc(tokentest.Hanging))
		text, err := i.Key("ES256").Sign(map[string]any{"kid": "new"}, i.Claims("orders"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := v.Verify(ctx, bearer(text)); authz.ReasonOf(err) != authz.Timeout {
			t.Errorf("reason %q, want timeout", authz.ReasonOf(err))
		}
		if took := time.Since(began); took != 50*time.Millisecond {
			t.Errorf("waited %s", took)
		}
	})
}
