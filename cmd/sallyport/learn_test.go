package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/decisionlog"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/learn"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

// A town has a policy that decides and is recorded, with tokens that are stated.
type town struct {
	*testing.T
	random *rand.Rand
	engine *policy.Engine
	log    bytes.Buffer
}

// newTown has routes of the shipped policy.
func newTown(t *testing.T, seed uint64) *town {
	w := &town{T: t, random: rand.New(rand.NewPCG(seed, 1))}
	w.engine = w.policy(policy.Config{Default: policies.FS, Data: map[string]any{"routes": w.routes()}})
	return w
}

func (w *town) policy(c policy.Config) *policy.Engine {
	w.Helper()
	c.Library, c.Recording = policies.Library, &policy.Recording{Claims: keptClaims(), Body: []string{"amount", "kind"}}
	engine, err := policy.New(w.Context(), c)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = engine.Close() })
	return engine
}

func keptClaims() []string { return append(config.Default().DecisionLog.Keep.Claims, "tenant") }

// pick is some of a list, at least one.
func (w *town) pick(list ...string) []any {
	var out []any
	for _, item := range list {
		if w.random.IntN(2) == 0 {
			out = append(out, item)
		}
	}
	if out == nil {
		out = []any{list[w.random.IntN(len(list))]}
	}
	return out
}

// one is one of a list.
func (w *town) one(list ...string) string { return list[w.random.IntN(len(list))] }

// rarely is true once in n.
func (w *town) rarely(n int) bool { return w.random.IntN(n) == 0 }

// routes are rules with conditions of every kind.
func (w *town) routes() []any {
	var out []any
	for range 3 + w.random.IntN(5) {
		rule := map[string]any{"path": w.one("/orders", "/orders/*", "/orders/**", "/orders/*/items/*", "/users/{sub}/**", "/users/{sub}", "/admin/**")}
		if w.rarely(2) {
			rule["methods"] = w.pick("GET", "POST", "DELETE")
		}
		if w.rarely(12) {
			if rule["path"] == "/orders" {
				rule["public"] = true
				out = append(out, rule)
				continue
			}
		}
		rule["tokens"] = [][]any{{"users"}, {"users", "workload"}, {"workload"}}[w.random.IntN(3)]
		for key, value := range map[string]any{
			"scopes": w.pick("read", "write", "pay"), "roles": w.pick("clerk", "admin", "guest"), "claims": map[string]any{"tenant": w.pick("acme", "umbrella")},
			"principals": w.pick("spiffe://example.org/web", "spiffe://example.org/batch"), "body": map[string]any{"amount": map[string]any{"max": json.Number("100")}},
		} {
			if w.rarely(4) {
				rule[key] = value
			}
		}
		out = append(out, rule)
	}
	return out
}

// request is one of those that the routes are about, and others.
func (w *town) request() (*authz.Request, authz.Identity) {
	w.Helper()
	user := w.one("ann", "bob", "carl", "dora")
	method := w.one("GET", "GET", "POST", "DELETE")
	raw := w.one("/orders", fmt.Sprintf("/orders/%d", w.random.IntN(6)), fmt.Sprintf("/orders/%d/items/%d", w.random.IntN(4), w.random.IntN(2)),
		"/users/"+user, "/users/"+user+"/mail", "/users/"+w.one("ann", "bob")+"/mail", "/admin/jobs", "/elsewhere")
	path, err := authz.ParsePath(raw)
	if err != nil {
		w.Fatal(err)
	}
	req := &authz.Request{
		Time: time.Unix(1_800_000_000, 0), Source: authz.Peer{Address: "10.1.2.3", Port: 4000},
		HTTP: &authz.HTTP{Method: method, Host: "shop.example.com", Path: path, Headers: authz.Headers{":path": {raw}, ":method": {method}}},
	}
	if w.rarely(2) {
		req.Source.Principal = w.one("spiffe://example.org/web", "spiffe://example.org/batch", "spiffe://example.org/other")
	}
	if w.rarely(3) {
		req.HTTP.Headers["content-type"] = []string{"application/json"}
		req.HTTP.Body = fmt.Sprintf(`{"amount": %d, "kind": %q}`, w.random.IntN(200), w.one("a", "b"))
		req.HTTP.Size = int64(len(req.HTTP.Body))
	}
	missing := authz.Token{Status: authz.TokenMissing}
	id := authz.Identity{Tokens: map[string]authz.Token{"users": missing, "workload": missing}}
	if !w.rarely(5) {
		id.Tokens["users"] = w.token(user)
	}
	if w.rarely(2) {
		id.Tokens["workload"] = w.token("checkout")
	}
	return req, id
}

func (w *town) token(subject string) authz.Token {
	claims := map[string]any{"iss": "https://login.example.com", "sub": subject, "aud": "shop", "exp": json.Number("1900000000")}
	if w.rarely(2) {
		claims["scope"] = w.one("read", "read write", "write pay", "read write pay")
	}
	if w.rarely(2) {
		claims["roles"] = w.pick("clerk", "admin", "guest")
	}
	if w.rarely(2) {
		claims["tenant"] = w.one("acme", "umbrella", "other")
	}
	return authz.Token{Status: authz.TokenValid, Issuer: "https://login.example.com", Claims: claims, Header: map[string]any{"alg": "ES256"}}
}

// stated believes what is said of the tokens.
type stated struct{ authz.Identity }

// Verify implements [authz.Verifier].
func (s stated) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	return s.Identity, nil
}

// Record implements [authz.Recorder].
func (w *town) Record(ctx context.Context, record *authz.Record) error {
	format := decisionlog.NewFormat(decisionlog.Keep{Claims: keptClaims()})
	w.log.Write(format.Line(ctx, record))
	return nil
}

// decide asks a policy as serve does.
func (w *town) decide(engine *policy.Engine, req *authz.Request, id authz.Identity, recorder authz.Recorder) bool {
	checker := authz.Checker{Verifier: stated{id}, Decider: engine, Recorder: recorder}
	return checker.Check(w.Context(), req).Allowed
}

// learn makes a proposal of the log, with the policy or without.
func (w *town) learn(recorded *policy.Engine) *learn.Proposal {
	w.Helper()
	config := learn.Config{Workloads: []string{"workload"}}
	file := filepath.Join(w.TempDir(), "decisions.ndjson")
	if err := os.WriteFile(file, w.log.Bytes(), 0o600); err != nil {
		w.Fatal(err)
	}
	config.Read = func(ctx context.Context, do func(*history.Record) error) error {
		log, err := history.Open(nil, file)
		if err != nil {
			return err
		}
		return log.Each(ctx, 2, func(_ int, _ history.Place, r *history.Record) error { return do(r) })
	}
	if recorded != nil {
		var err error
		if config.Recorded, err = (&hand{engine: recorded}).learned(recorded); err != nil {
			w.Fatal(err)
		}
	}
	config.Make = func(ctx context.Context, data map[string]any) (*learn.Policy, error) {
		return proposed(ctx, policy.Config{Default: policies.FS, Data: data}, recorded)
	}
	config.MakeRego = func(ctx context.Context, module string) (*learn.Policy, error) {
		return proposedRego(ctx, module, recorded)
	}
	found, err := learn.Learn(w.Context(), config)
	if err != nil {
		w.Fatal(err)
	}
	return found
}

// proposals are the policies that a proposal is offered as.
func (w *town) proposals(found *learn.Proposal) []*policy.Engine {
	w.Helper()
	dir := w.TempDir()
	if err := writeProposal(dir, found); err != nil {
		w.Fatal(err)
	}
	return []*policy.Engine{
		w.policy(policy.Config{Default: policies.FS, Data: map[string]any{"routes": found.Routes}}),
		w.policy(policy.Config{Files: []string{filepath.Join(dir, "rego")}}),
	}
}

// TestLearnIsNeverWider has random policies decide random traffic, and learns from it: what was denied is
// denied, what was allowed is allowed but for what the proposal says that it cannot allow, and of requests
// that nobody recorded none is allowed that the policy denies. SALLYPORT_LEARN_TOWNS has more policies.
func TestLearnIsNeverWider(t *testing.T) {
	towns := uint64(1)
	if text := os.Getenv("SALLYPORT_LEARN_TOWNS"); text != "" {
		if _, err := fmt.Sscan(text, &towns); err != nil {
			t.Fatal(err)
		}
	}
	for seed := range towns {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newTown(t, seed)
			type asked struct {
				req     *authz.Request
				id      authz.Identity
				allowed bool
			}
			var record []asked
			allowed := 0
			for range 150 {
				req, id := w.request()
				a := asked{req, id, w.decide(w.engine, req, id, w)}
				record = append(record, a)
				if a.allowed {
					allowed++
				}
			}
			if allowed == 0 {
				t.Skip("this policy allowed nothing: there is nothing to learn")
			}
			found := w.learn(w.engine)
			lost := 0 // where routes cannot say what sets it apart from what was denied, such as a claim of a second token
			for _, group := range found.NewlyDenied {
				lost += group.Decisions
			}
			if found.Unproven != "" || found.NewlyAllowed != 0 || found.Allowed+lost != allowed || lost > allowed/2 {
				t.Errorf("unproven %q, %d of %d allowed, newly denied %+v", found.Unproven, found.Allowed, allowed, found.NewlyDenied)
			}
			t.Logf("%d allowed, %d of them cannot be allowed again", allowed, lost)
			for form, engine := range w.proposals(found) {
				denied := 0
				for _, a := range record {
					got := w.decide(engine, a.req, a.id, authz.Recorders{})
					if got && !a.allowed {
						t.Errorf("form %d: %s %s by %v is allowed, and was denied", form, a.req.HTTP.Method, a.req.HTTP.Path.Raw, a.id.Tokens)
					} else if got != a.allowed {
						denied++
					}
				}
				if denied != lost {
					t.Errorf("form %d: %d requests are denied that were allowed, and %d are listed", form, denied, lost)
				}
				for range 500 {
					req, id := w.request()
					if w.decide(engine, req, id, authz.Recorders{}) && !w.decide(w.engine, req, id, authz.Recorders{}) {
						t.Errorf("form %d is wider: %s %s %s by %v from %q\n%s", form, req.HTTP.Method, req.HTTP.Path.Raw, req.HTTP.Body, id.Tokens, req.Source.Principal, found.Configuration())
						break
					}
				}
			}
		})
	}
}
