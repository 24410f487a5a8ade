package token_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// A notebook is an observer that writes down what it is told.
type notebook struct{ lines []string }

type inJudgement struct{} // the key of what Judge adds to a context

func (n *notebook) observer() token.Observer {
	return token.Observer{
		Judge: func(ctx context.Context, rule string) (context.Context, func(token.Judgement)) {
			return context.WithValue(ctx, inJudgement{}, rule), func(j token.Judgement) { //nolint:forbidigo // a tracer's context is under test
				reason := authz.Allowed
				if j.Err != nil {
					reason = authz.ReasonOf(j.Err)
				}
				n.lines = append(n.lines, fmt.Sprintf("%s: %s, cached %v", rule, reason, j.Cached))
			}
		},
		Waited: func(ctx context.Context, issuer string, err error) {
			n.lines = append(n.lines, fmt.Sprintf("%v waited for %s, failed %v", ctx.Value(inJudgement{}), issuer, err != nil))
		},
	}
}

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
		var n notebook
		v, err := token.New(t.Context(), token.Config{
			Rules: []token.Rule{rule("users", i.URL, nil)}, HTTPClient: i.Client(), Logger: slog.New(slog.DiscardHandler), Observer: n.observer(),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		synctest.Wait()
		good := sign(t, i.Key("ES256"), i.Claims("orders"))
		want(t, v, good, authz.Allowed)
		want(t, v, good, authz.Allowed)
		want(t, v, sign(t, i.Key("ES256"), i.Claims("other")), authz.TokenAudience)
		fresh, err := i.Rotate("ES256")
		if err != nil {
			t.Fatal(err)
		}
		want(t, v, sign(t, fresh, i.Claims("orders")), authz.Allowed)
		v.Verify(t.Context(), request(nil)) // without a token nothing is judged
		want(t, v, "no token", authz.TokenMalformed)
		if diff := cmp.Diff([]string{
			"users: allowed, cached false", "users: allowed, cached true", "users: token_audience, cached false",
			"users waited for https://issuer.example, failed false", "users: allowed, cached false",
		}, n.lines); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, v := offline(t, tokentest.Config{}, nil)
		good := sign(t, i.Key("ES256"), i.Claims("orders"))
		want(t, v, good, authz.Allowed)
		want(t, v, good, authz.Allowed)
		want(t, v, sign(t, i.Key("ES256"), i.Claims("other")), authz.TokenAudience)
		time.Sleep(3 * time.Minute)
		got := v.Stats()
		if got.Cache.Bytes <= 0 {
			t.Errorf("%d bytes for a token", got.Cache.Bytes)
		}
		got.Cache.Bytes = 0
		if diff := cmp.Diff(token.Stats{
			Cache: token.CacheStats{Hits: 1, Misses: 2, Entries: 1},
			Keys:  []token.KeyStats{{Issuer: i.URL, Keys: 1, Age: 3 * time.Minute, Fetched: 1}},
		}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		i.Instead(http.HandlerFunc(tokentest.Failing))
		time.Sleep(time.Hour)
		if got := v.Stats().Keys[0]; got.Failed == 0 || got.Age < time.Hour {
			t.Errorf("%+v after an hour without the issuer", got)
		}
	})
}

// A cache that has room for few tokens counts what it throws out; without a cache there is nothing.
func TestStatsOfEvictions(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	for name, tc := range map[string]struct {
		bytes int
		want  bool
	}{"small": {64 << 10, true}, "none": {-1, false}} {
		t.Run(name, func(t *testing.T) {
			v, err := token.New(t.Context(), token.Config{
				Rules: []token.Rule{withKeys(t, "users", i, nil)}, CacheBytes: tc.bytes, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			for n := range 100 {
				claims := i.Claims("orders")
				claims["jti"] = fmt.Sprint(n)
				want(t, v, sign(t, i.Key("ES256"), claims), authz.Allowed)
			}
			if got := v.Stats().Cache; (got.Evictions > 0) != tc.want || got.Entries > 100 {
				t.Errorf("%+v", got)
			}
		})
	}
}
