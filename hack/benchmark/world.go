package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

const (
	issuerURL = "https://login.example.com"
	audience  = "orders"
	userCount = 1000
)

// A world is what all contenders know: an issuer with its keys, users with tokens, and the data of
// the policy.
type world struct {
	dir    string
	key    *tokentest.Key
	users  []string // a token each, valid for as long as any run
	guests []string // tokens without a useful role
}

func newWorld(dir string) (*world, error) {
	key, err := tokentest.NewKey("bench", "RS256", "")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, key: key}
	if w.users, err = w.tokens(userCount, "user", "clerk", "payer"); err != nil {
		return nil, err
	}
	if w.guests, err = w.tokens(userCount, "guest", "guest"); err != nil {
		return nil, err
	}
	return w, w.writeData(0)
}

// tokens signs n tokens, each of another subject.
func (w *world) tokens(n int, subject string, roles ...string) ([]string, error) {
	out := make([]string, n)
	errs := make([]error, 2)
	var wait sync.WaitGroup
	for half := range errs {
		wait.Go(func() {
			for i := half; i < n && errs[half] == nil; i += len(errs) {
				out[i], errs[half] = sign(w.key, fmt.Sprintf("%s-%07d", subject, i), roles)
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sign makes a token of the size that identity providers make.
func sign(key *tokentest.Key, subject string, roles []string) (string, error) {
	now := time.Now()
	return key.Sign(nil, map[string]any{
		"iss": issuerURL, "aud": []string{audience}, "sub": subject, "roles": roles,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(12 * time.Hour).Unix(), "jti": "jti-" + subject,
		"azp": "web", "scope": "openid profile orders:read orders:write",
		"email": subject + "@example.com", "preferred_username": subject, "email_verified": true,
	})
}

func (w *world) jwks() string {
	text, err := json.Marshal(tokentest.KeySet(w.key))
	if err != nil {
		panic(err) // maps of strings
	}
	return string(text)
}

// data is what the policy decides by; another generation is other data that decides alike.
func (w *world) data(generation int) map[string]any {
	grants := map[string]any{}
	for _, role := range []string{"clerk", "admin", "auditor", "guest"} {
		grants[role] = []any{map[string]any{"methods": []string{"GET"}, "path": "/" + role + "/**"}}
	}
	grants["clerk"] = []any{
		map[string]any{"methods": []string{"GET", "POST"}, "path": "/orders/**"},
		map[string]any{"methods": []string{"GET"}, "path": "/invoices/*/lines/**"},
	}
	return map[string]any{
		"generation": generation, "grants": grants,
		"limits": map[string]any{"amount": 1000, "currencies": []string{"EUR", "CHF"}},
	}
}

// writeData replaces the data files of both servers. The usual way has the issuer there, too.
func (w *world) writeData(generation int) error {
	data := w.data(generation)
	if err := writeJSON(filepath.Join(w.dir, "sallyport", "data.json"), data); err != nil {
		return err
	}
	usual := maps.Clone(data)
	usual["jwks"], usual["issuer"] = w.jwks(), issuerURL
	return writeJSON(filepath.Join(w.dir, "usual", "data.json"), usual)
}

// writeJSON replaces a file as a whole.
func writeJSON(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
