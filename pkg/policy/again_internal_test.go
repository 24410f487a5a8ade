package policy

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/fstest"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// offline is one of the awkward policies, for a replay.
func offline(t testing.TB, rules string, recording *Recording) *Engine {
	t.Helper()
	e, err := New(t.Context(), Config{
		Default: fstest.MapFS{
			"policy.rego": {Data: []byte("package envoy.authz\n\n" + rules + shown)},
			"other.rego":  {Data: []byte(other)},
		},
		Data: map[string]any{"key": "source"}, Offline: true, Recording: recording,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// record is what a record has of a check beside its input.
func beRecorded(req *authz.Request, id authz.Identity) (*authz.Request, authz.Identity) {
	out := &authz.Request{
		Source:      authz.Peer{Address: req.Source.Address, Principal: req.Source.Principal, Port: req.Source.Port},
		Destination: authz.Peer{Address: req.Destination.Address, Principal: req.Destination.Principal, Port: req.Destination.Port},
	}
	if req.HTTP != nil {
		raw := req.HTTP.Path.Raw
		for i := range raw {
			if raw[i] == '?' {
				raw = raw[:i]
				break
			}
		}
		out.HTTP = &authz.HTTP{Method: req.HTTP.Method, Host: req.HTTP.Host, Path: authz.Path{Raw: raw, Query: map[string][]string{}}, Headers: authz.Headers{}}
		if values := req.HTTP.Headers["x-a"]; len(values) > 0 {
			out.HTTP.Headers["x-a"] = []string{req.HTTP.Headers.Joined("x-a")}
		}
		if values := req.HTTP.Path.Query["q"]; len(values) > 0 {
			out.HTTP.Path.Query["q"] = []string{(authz.Headers{"q": values}).Joined("q")}
		}
	}
	kept := authz.Identity{Tokens: map[string]authz.Token{}}
	for slot, token := range id.Tokens {
		claims := map[string]any{}
		for _, name := range []string{"sub", "roles"} {
			if value, ok := token.Claims[name]; ok {
				if text, isText := value.(string); name == "sub" && (!isText || text == "") {
					continue
				}
				claims[name] = value
			}
		}
		token.Claims = claims
		kept.Tokens[slot] = token
	}
	return out, kept
}

// TestReplayDecidesAsTheWholeRequest has every awkward policy replay what others have recorded. What it
// decides is what it decides of the whole request; or it says that it cannot tell.
func TestReplayDecidesAsTheWholeRequest(t *testing.T) {
	const checks = 60_000
	random := rand.New(rand.NewPCG(3, 4))
	now := time.Unix(1795435200, 0)
	decided, undecided := map[string]int{}, map[string]int{}
	for range checks / 100 {
		a, b := awkward[random.IntN(len(awkward))], awkward[random.IntN(len(awkward))]
		recorded := offline(t, a.rules, &Recording{Claims: []string{"sub", "roles"}})
		candidate := offline(t, b.rules, nil)
		s := candidate.current.Load().snapshots[0]
		for kind, config := range map[string]ReplayConfig{
			"the recorded policy known": {Candidate: candidate, Recorded: []*Engine{recorded}}, "unknown": {Candidate: candidate},
		} {
			replay, err := NewReplay(config)
			if err != nil {
				t.Fatal(err)
			}
			g := newGenerator(t)
			g.Rand = random
			for range 50 {
				req, id := g.check()
				was, wasErr := recorded.Decide(t.Context(), req, id)
				if was.Basis == nil || authz.ReasonOf(wasErr) == authz.BodyMalformed {
					continue
				}
				past := &Past{Revision: was.Revision, Entrypoint: was.Entrypoint, Time: now, Basis: *was.Basis}
				past.Request, past.Identity = beRecorded(req, id)
				got, gotErr := replay.Again(t.Context(), past)
				if _, ok := errors.AsType[*Undecided](gotErr); ok {
					undecided[kind]++
					continue
				}
				decided[kind]++
				want, wantErr := s.decide(t.Context(), now, req, id)
				got.Revision, got.Entrypoint = "", ""
				same(t, a.name+", then "+b.name+": again", want, got, wantErr, gotErr)
				if t.Failed() {
					t.Fatalf("from %s", was.Basis.Input)
				}
			}
		}
	}
	for kind, n := range decided {
		t.Logf("%s: %d decided, %d undecided", kind, n, undecided[kind])
		if n < 1000 {
			t.Errorf("%s: only %d were decided", kind, n)
		}
	}
}
