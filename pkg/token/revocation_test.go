package token_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// none is a list that revokes nothing.
const none = "revoked: []\n"

// revocable is a verifier of one issuer with a list of revoked tokens.
func revocable(t *testing.T, list token.Revocation) (*tokentest.Issuer, *token.Verifier) {
	t.Helper()
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	return i, start(t, token.Config{
		Rules: []token.Rule{withKeys(t, "users", i, nil)}, Logger: slog.New(slog.DiscardHandler), Revocation: list,
	})
}

// listFile writes a list, and gives its name and a function that writes another and waits for the
// second after which it holds.
func listFile(t *testing.T, text string) (name string, change func(text string)) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "revoked.yaml")
	put := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(text)
	return name, func(text string) {
		put(text)
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

// TestRevocationReachesCachedTokens revokes tokens that are in the cache. A second later they are
// refused, and when the entry is gone they are taken again.
func TestRevocationReachesCachedTokens(t *testing.T) {
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }
	for _, test := range []struct {
		name   string
		entry  func() string // without the issuer
		claims map[string]any
		want   authz.Reason
	}{
		{"jti", func() string { return "jti: a" }, map[string]any{"jti": "a"}, authz.TokenRevoked},
		{"another jti", func() string { return "jti: a" }, map[string]any{"jti": "b"}, authz.Allowed},
		{"a jti that is a session's", func() string { return "jti: a" }, map[string]any{"sid": "a"}, authz.Allowed},
		{"no jti", func() string { return "jti: a" }, map[string]any{"jti": nil}, authz.Allowed},
		{"sid", func() string { return "sid: a" }, map[string]any{"sid": "a"}, authz.TokenRevoked},
		{"client_id", func() string { return "client_id: a" }, map[string]any{"client_id": "a"}, authz.TokenRevoked},
		{"azp", func() string { return "client_id: a" }, map[string]any{"azp": "a"}, authz.TokenRevoked},
		{"another client", func() string { return "client_id: a" }, map[string]any{"client_id": "b", "azp": "c"}, authz.Allowed},
		{"a subject's older token", func() string { return "sub: a, before: " + at(time.Minute) }, map[string]any{"sub": "a"}, authz.TokenRevoked},
		{"a subject's newer token", func() string { return "sub: a, before: " + at(-time.Hour) }, map[string]any{"sub": "a"}, authz.Allowed},
		{"another subject's", func() string { return "sub: a, before: " + at(time.Minute) }, map[string]any{"sub": "b"}, authz.Allowed},
		{"a subject's token without iat", func() string { return "sub: a, before: " + at(-time.Hour) }, map[string]any{"sub": "a", "iat": nil}, authz.TokenRevoked},
		{"the later of two dates", func() string {
			return "sub: a, before: " + at(time.Minute) + "}\n - {issuer: 'https://issuer.example', sub: a, before: " + at(-time.Hour)
		}, map[string]any{"sub": "a"}, authz.TokenRevoked},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				name, change := listFile(t, none)
				i, v := revocable(t, token.Revocation{File: name})
				text := sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), test.claims))
				want(t, v, text, authz.Allowed)
				hits(t, v, text)
				change("revoked:\n - {issuer: 'https://issuer.example', " + test.entry() + "}\n")
				want(t, v, text, test.want)
				want(t, v, text, test.want)
				change("revoked:\n - {issuer: 'https://issuer.example/', " + test.entry() + "}\n")
				want(t, v, text, authz.Allowed) // another issuer's tokens are not meant
				if test.want != authz.Allowed {
					change("revoked:\n - {issuer: 'https://issuer.example', " + test.entry() + "}\n")
					other := sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), tokentest.Change(test.claims, map[string]any{"n": 1})))
					want(t, v, other, test.want) // and so is one that was never seen
				}
			})
		})
	}
}

var badLists = map[string]string{
	"":                                       "not YAML",
	"- a":                                    "not an object",
	"{}":                                     "revoked is missing",
	"revoked: {}":                            "revoked is missing",
	"revoked: [a]":                           "revoked[0]: not an object",
	"revoked: []\nnote: x":                   `"note": unknown`,
	"revoked: []\nupdated: yesterday":        `"updated": not a time`,
	"revoked: [{jti: a}]":                    "must have issuer",
	"revoked: [{issuer: a}]":                 "must have issuer",
	"revoked: [{issuer: a, jti: 7}]":         "jti is no text",
	"revoked: [{issuer: a, jti: ''}]":        "jti is no text, or empty",
	"revoked: [{issuer: a, jti: b, sid: c}]": "must have issuer",
	"revoked: [{issuer: a, sub: b}]":         "must have issuer",
	"revoked: [{issuer: a, sub: b, before: soon}]":     "before: not a time",
	"revoked: [{issuer: a, sub: b, before: true}]":     "before: not a time",
	"revoked: [{issuer: a, jit: b}]":                   "has an unknown member",
	"revoked: []\n---\nrevoked: []":                    "more than one YAML document",
	"revoked: [":                                       "not YAML",
	`{"revoked": [], "revoked": []}`:                   "twice",
	`{"revoked": [{"issuer": "a", "jti": "b"}], "x":}`: `"x": unknown`,
}

// TestBadListAtTheStart holds that a verifier does not start with a list that it cannot read whole.
func TestBadListAtTheStart(t *testing.T) {
	for text, wanted := range badLists {
		name, _ := listFile(t, text)
		v, err := token.New(t.Context(), token.Config{Logger: slog.New(slog.DiscardHandler), Revocation: token.Revocation{File: name}})
		if err == nil {
			v.Close()
			t.Errorf("%q: no mistake", text)
		} else if !strings.Contains(err.Error(), "revocation.file: ") || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%q: %v, want %q", text, err, wanted)
		}
	}
	_, err := token.New(t.Context(), token.Config{Revocation: token.Revocation{File: filepath.Join(t.TempDir(), "absent")}})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a list that is not there: %v", err)
	}
	name, _ := listFile(t, none)
	_, err = token.New(t.Context(), token.Config{Revocation: token.Revocation{File: name, MaxAge: time.Minute}})
	if err == nil || !strings.Contains(err.Error(), "updated is missing") {
		t.Errorf("a list without its age: %v", err)
	}
}

// TestBadListLater holds that what was revoked stays so when the list is spoilt or taken away.
func TestBadListLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name, change := listFile(t, "revoked: [{issuer: 'https://issuer.example', jti: a}]")
		i, v := revocable(t, token.Revocation{File: name})
		text := sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), map[string]any{"jti": "a"}))
		want(t, v, text, authz.TokenRevoked)
		for bad := range badLists {
			change(bad)
			want(t, v, text, authz.TokenRevoked)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		want(t, v, text, authz.TokenRevoked)
		change(none)
		want(t, v, text, authz.Allowed)
	})
}

// TestOldList holds that where nobody knows any more what is revoked, no token is taken.
func TestOldList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fresh := func() string { return fmt.Sprintf("updated: %d\n%s", time.Now().Unix(), none) }
		name, change := listFile(t, fresh())
		i, v := revocable(t, token.Revocation{File: name, MaxAge: time.Minute})
		text := sign(t, i.Key("ES256"), i.Claims("orders"))
		want(t, v, text, authz.Allowed)
		time.Sleep(time.Minute)
		want(t, v, text, authz.Allowed)
		if err := v.Ready(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		want(t, v, text, authz.TokenRevocationStale)
		if err := v.Ready(); err == nil {
			t.Error("it says that it is ready")
		}
		change(fresh())
		want(t, v, text, authz.Allowed)
	})
}

// TestListFromAFunction reads a list from elsewhere, whose version tells whether it changed.
func TestListFromAFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var version atomic.Int64
		read := func(last any) (any, any, error) {
			now := version.Load()
			if now == last {
				return nil, now, nil
			}
			entries := []any{}
			if now > 0 {
				entries = append(entries, map[string]any{"issuer": "https://issuer.example", "jti": fmt.Sprint(now)})
			}
			return map[string]any{"revoked": entries}, now, nil
		}
		i, v := revocable(t, token.Revocation{Data: read})
		text := sign(t, i.Key("ES256"), tokentest.Change(i.Claims("orders"), map[string]any{"jti": "1"}))
		for now, reason := range []authz.Reason{authz.Allowed, authz.TokenRevoked, authz.Allowed} {
			version.Store(int64(now))
			time.Sleep(time.Second)
			synctest.Wait()
			want(t, v, text, reason)
			want(t, v, text, reason)
		}
	})
}

// TestListStillToCome holds that a verifier starts before its list is there, and takes no token
// until it is.
func TestListStillToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var there atomic.Bool
		i, v := revocable(t, token.Revocation{Data: func(any) (any, any, error) {
			if !there.Load() {
				return nil, nil, token.ErrNoListYet
			}
			return map[string]any{"revoked": []any{}}, 1, nil
		}})
		text := sign(t, i.Key("ES256"), i.Claims("orders"))
		want(t, v, text, authz.TokenRevocationStale)
		if err := v.Ready(); err == nil || !strings.Contains(err.Error(), "not there yet") {
			t.Errorf("ready: %v", err)
		}
		there.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		want(t, v, text, authz.Allowed)
		if err := v.Ready(); err != nil {
			t.Error(err)
		}
	})
}
