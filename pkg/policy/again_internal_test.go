package policy

import (
	"errors"
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

// beRecorded is what a record has of a check beside its input.
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

// TestReplayDecidesAsTheWholeRequest has every awkward policy replay what others have recorded, of all
// requests. What it decides is what it decides of the whole request; or it says that it cannot tell.
func TestReplayDecidesAsTheWholeRequest(t *testing.T) {
	const pairs, checks = 120, 50
	now := time.Unix(1795435200, 0)
	var narrow, whole, candidates []*Engine
	for _, tt := range awkward {
		narrow = append(narrow, offline(t, tt.rules, &Recording{Claims: []string{"sub", "roles"}}))
		whole = append(whole, offline(t, tt.rules, &Recording{Claims: []string{"*"}, Body: []string{"*"}, Whole: true}))
		candidates = append(candidates, offline(t, tt.rules, nil))
	}
	g := newGenerator(t)
	for name, tt := range map[string]struct {
		recorded []*Engine
		unknown  bool // the recorded policy
		least    int  // of 100 decisions, those that can be told
	}{
		"what was read, by a known policy":    {recorded: narrow, least: 25},
		"what was read, by an unknown policy": {recorded: narrow, unknown: true, least: 20},
		"all":                                 {recorded: whole, unknown: true, least: 90},
	} {
		t.Run(name, func(t *testing.T) {
			decided, undecided := 0, 0
			for range pairs {
				a, b := g.IntN(len(awkward)), g.IntN(len(awkward))
				config := ReplayConfig{Candidate: candidates[b], MemoBytes: 1 << 20}
				if !tt.unknown {
					config.Recorded = []*Engine{tt.recorded[a]}
				}
				replay, err := NewReplay(config)
				if err != nil {
					t.Fatal(err)
				}
				for range checks {
					req, id := g.check()
					was, _ := tt.recorded[a].Decide(t.Context(), req, id)
					if was.Basis == nil {
						continue // no policy was asked
					}
					got, gotErr := replay.Again(t.Context(), recordOf(was, now, req, id))
					if _, ok := errors.AsType[*Undecided](gotErr); ok {
						undecided++
						continue
					}
					decided++
					want, wantErr := candidates[b].current.Load().snapshots[0].decide(t.Context(), now, req, id)
					got.Revision, got.Entrypoint = "", ""
					if same(t, awkward[a].name+", then "+awkward[b].name, want, got, wantErr, gotErr); t.Failed() {
						t.Fatalf("from %s", was.Basis.Input)
					}
				}
			}
			t.Logf("%d decided, %d undecided", decided, undecided)
			if 100*decided < tt.least*(decided+undecided) || decided < pairs {
				t.Errorf("only %d of %d were decided", decided, decided+undecided)
			}
		})
	}
}

// recordOf is what a record has of a decision.
func recordOf(was authz.Decision, at time.Time, req *authz.Request, id authz.Identity) *Past {
	past := &Past{Revision: was.Revision, Entrypoint: was.Entrypoint, Time: at, Basis: *was.Basis, Whole: was.Basis.Whole}
	past.Request, past.Identity = beRecorded(req, id)
	return past
}

// TestReplayReproducesItself has every awkward policy decide again what it decided itself: nothing of what
// is complete may be undecided.
func TestReplayReproducesItself(t *testing.T) {
	g := newGenerator(t)
	now := time.Unix(1795435200, 0)
	for _, tt := range awkward {
		for _, recording := range []Recording{{Claims: []string{"*"}, Body: []string{"*"}}, {Claims: []string{"*"}, Body: []string{"*"}, Whole: true}} {
			e := offline(t, tt.rules, &recording)
			replay, err := NewReplay(ReplayConfig{Candidate: e, AtRecords: true, Recorded: []*Engine{e}})
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				req, id := g.check()
				want, wantErr := e.Decide(t.Context(), req, id)
				if want.Basis == nil || want.Basis.Incomplete != "" {
					continue
				}
				got, gotErr := replay.Again(t.Context(), recordOf(want, now, req, id))
				basis := want.Basis
				want.Basis = nil
				if same(t, tt.name, want, got, wantErr, gotErr); t.Failed() {
					t.Fatalf("from %s", basis.Input)
				}
			}
		}
	}
}
