package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/decisionlog"
	"github.com/sallyport/sallyport/pkg/policy"
)

// replayRoutes is a configuration with routes of the shipped policy, to be recorded and replayed.
const replayRoutes = `
jwt:
  rules:
  - {name: users, issuer: https://login.example.com, audiences: [shop], jwksFile: keys.json}
policy:
  data:
    routes:
    - {path: /public/**, public: true}
    - {path: /orders/**, methods: [GET], tokens: [users], scopes: ["orders:read"]}
    - {path: /orders, methods: [POST], tokens: [users], scopes: ["orders:write"]}
    - {path: /admin/**, tokens: [users], roles: [admin]}
    - {path: "/users/{sub}/**", methods: [GET], tokens: [users]}
`

// A recordedWorld decides and records as serve does, with tokens that are stated.
type recordedWorld struct {
	engine  *policy.Engine
	format  decisionlog.Format
	checker authz.Checker
	id      authz.Identity
	last    []byte // the line of the last check
}

// newRecordedWorld loads a configuration.
func newRecordedWorld(t testing.TB, file string) *recordedWorld {
	t.Helper()
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	configured := policyConfig(cfg, slog.New(slog.DiscardHandler))
	configured.Recording = recording(cfg)
	w := &recordedWorld{format: decisionlog.NewFormat(logConfig(cfg, nil).Keep)}
	if w.engine, err = policy.New(t.Context(), configured); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.engine.Close() })
	w.checker = authz.Checker{Verifier: w, Decider: w.engine, Recorder: w}
	return w
}

// Verify implements [authz.Verifier].
func (w *recordedWorld) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	return w.id, nil
}

// Record implements [authz.Recorder].
func (w *recordedWorld) Record(ctx context.Context, record *authz.Record) error {
	w.last = w.format.Line(ctx, record)
	return nil
}

// check decides one request and gives the line of its record.
func (w *recordedWorld) check(ctx context.Context, req *authz.Request, id authz.Identity) ([]byte, authz.Decision) {
	w.id = id
	d := w.checker.Check(ctx, req)
	return w.last, d
}

// shopRequest is the n-th of so many that are distinct.
func shopRequest(t testing.TB, random *rand.Rand, n int) (*authz.Request, authz.Identity) {
	t.Helper()
	method := "GET"
	raw := fmt.Sprintf("/users/u%d/profile/%d", n%5000, n)
	switch n % 5 {
	case 1:
		raw = fmt.Sprintf("/orders/%d", n)
	case 2:
		raw, method = "/orders", "POST"
	case 3:
		raw = fmt.Sprintf("/admin/%d", n)
	case 4:
		raw = fmt.Sprintf("/public/%d", n)
	}
	path, err := authz.ParsePath(raw)
	if err != nil {
		t.Fatal(err)
	}
	req := &authz.Request{
		Source: authz.Peer{Address: "10.1.2.3", Port: uint32(1024 + random.IntN(60_000)), Principal: "spiffe://example.org/web"},
		HTTP:   &authz.HTTP{Method: method, Host: "shop.example.com", Path: path, Headers: authz.Headers{":path": {raw}, ":method": {method}}},
	}
	token := authz.Token{Status: authz.TokenMissing}
	if n%7 > 0 {
		token = authz.Token{Status: authz.TokenValid, Issuer: "https://login.example.com", Header: map[string]any{"alg": "RS256"}, Claims: map[string]any{
			"iss": "https://login.example.com", "sub": fmt.Sprintf("u%d", n%5000), "aud": []any{"shop"}, "exp": json.Number("1800000000"),
			"scope": "orders:read orders:write", "roles": []any{"clerk", "admin"}[:1+n%2],
		}}
	}
	return req, authz.Identity{Tokens: map[string]authz.Token{"users": token}}
}

// writeLog records n decisions of so many distinct requests.
func (w *recordedWorld) writeLog(t testing.TB, file string, n, distinct int) {
	t.Helper()
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	buffered := bufio.NewWriter(out)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		req, id := shopRequest(t, random, i%distinct)
		line, _ := w.check(t.Context(), req, id)
		if _, err := buffered.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := buffered.Flush(); err != nil || out.Close() != nil {
		t.Fatal(err)
	}
}

// writeConfig writes a configuration, and keys that it may name.
func writeConfig(t testing.TB, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(filepath.Join(dir, "keys.json"), []byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
