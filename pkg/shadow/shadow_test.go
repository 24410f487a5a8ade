package shadow_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/shadow"
)

// decide is a candidate.
type decide func(ctx context.Context, at time.Time, req *authz.Request, id authz.Identity) (authz.Decision, error)

func answers(d authz.Decision) decide {
	d.Revision = "new"
	return func(context.Context, time.Time, *authz.Request, authz.Identity) (authz.Decision, error) {
		return d, nil
	}
}

// A bench has a shadow of a candidate, in a bubble, and what it told.
type bench struct {
	*shadow.Shadow
	mu       sync.Mutex
	compared []*authz.Comparison
	dropped  int
}

func start(t *testing.T, candidate decide, change func(*shadow.Config)) *bench {
	t.Helper()
	b := &bench{}
	config := shadow.Config{
		Decide:    candidate,
		Revisions: func() (string, string) { return "old", "new" },
		Compared: func(c *authz.Comparison) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.compared = append(b.compared, c)
		},
		Dropped: func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.dropped++
		},
	}
	if change != nil {
		change(&config)
	}
	b.Shadow = shadow.New(config)
	t.Cleanup(func() { b.end(t) })
	return b
}

func (b *bench) end(t *testing.T) {
	t.Helper()
	if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func (b *bench) hear(t *testing.T, records ...*authz.Record) {
	t.Helper()
	for _, record := range records {
		if err := b.Record(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
}

// live is the record of a check that the live policy decided, completed as any.
func live(id string, d authz.Decision) *authz.Record {
	d.Revision = "old"
	if d.Reason == "" && d.Allowed {
		d.Reason = authz.Allowed
	} else if d.Reason == "" {
		d.Reason, d.Status = authz.PolicyDenied, 403
	}
	path, _ := authz.ParsePath("/orders/7?page=2")
	return &authz.Record{
		ID: id, Time: time.Now(), Decision: d,
		Request: &authz.Request{HTTP: &authz.HTTP{Method: "GET", Path: path}, MessageBytes: 1000},
	}
}

// Each answer of a candidate is compared as the caller would see it.
func TestCompares(t *testing.T) {
	allow, deny := authz.Decision{Allowed: true}, authz.Decision{}
	fails := func(reason authz.Reason) decide {
		return func(context.Context, time.Time, *authz.Request, authz.Identity) (authz.Decision, error) {
			return authz.Decision{Revision: "new"}, &authz.Error{Reason: reason, Err: errors.New("for the operator")}
		}
	}
	for name, tc := range map[string]struct {
		live      authz.Decision
		candidate decide
		want      authz.Difference
		failed    uint64
	}{
		"the same":            {allow, answers(allow), authz.Difference{Verdict: authz.Same}, 0},
		"denied alike":        {deny, answers(deny), authz.Difference{Verdict: authz.Same}, 0},
		"let in":              {deny, answers(allow), authz.Difference{Verdict: authz.NewlyAllowed}, 0},
		"shut out":            {allow, answers(deny), authz.Difference{Verdict: authz.NewlyDenied}, 0},
		"another status":      {deny, answers(authz.Decision{Status: 429}), authz.Difference{Verdict: authz.Changed, Effects: []string{"status"}}, 0},
		"fails where allowed": {allow, fails(authz.PolicyError), authz.Difference{Verdict: authz.NewlyDenied}, 1},
		"fails where denied":  {deny, fails(authz.PolicyConflict), authz.Difference{Verdict: authz.Same}, 1},
		"undefined":           {allow, fails(authz.PolicyUndefined), authz.Difference{Verdict: authz.NewlyDenied}, 0},
		"panics": {allow, func(context.Context, time.Time, *authz.Request, authz.Identity) (authz.Decision, error) {
			segments := strings.Split("/", "/")
			return authz.Decision{Allowed: segments[len(segments)] == ""}, nil
		}, authz.Difference{Verdict: authz.NewlyDenied}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, tc.candidate, nil)
				b.hear(t, live("1", tc.live))
				synctest.Wait()
				if len(b.compared) != 1 {
					t.Fatalf("%d comparisons", len(b.compared))
				}
				if diff := cmp.Diff(tc.want, b.compared[0].Difference); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				r := b.Report()
				if r.Compared != 1 || r.Failed != tc.failed || r.Verdicts[tc.want.Verdict] != 1 {
					t.Errorf("the report is %+v", r)
				}
				if unlike := tc.want.Verdict != authz.Same || tc.failed > 0; unlike != (r.Unlike == 1) || unlike != (len(r.Groups) == 1) {
					t.Errorf("unlike: %d, groups %v", r.Unlike, r.Groups)
				}
			})
		})
	}
}

// What the tokens change on the request is in both decisions, and no difference.
func TestComparesLikeWithLike(t *testing.T) {
	id := authz.Identity{Upstream: authz.Mutation{
		SetHeaders: []authz.Header{{Name: "x-user", Value: "ann"}}, RemoveHeaders: []string{"authorization"},
	}}
	policy := authz.Decision{Allowed: true, Revision: "old", Upstream: authz.Mutation{SetHeaders: []authz.Header{{Name: "x-role", Value: "clerk"}}}}
	var kept authz.Recorders
	synctest.Test(t, func(t *testing.T) {
		record := live("1", authz.Decision{})
		record.Identity = id
		checker := authz.Checker{Verifier: verified(id), Decider: fixed(policy), Recorder: append(kept, recorder(func(r *authz.Record) { record = r }))}
		checker.Check(t.Context(), record.Request)
		b := start(t, answers(policy), nil)
		b.hear(t, record)
		synctest.Wait()
		if len(b.compared) != 1 || b.compared[0].Difference.Verdict != authz.Same {
			t.Errorf("compared: %+v", b.compared[0].Difference)
		}
	})
}

type verified authz.Identity

func (v verified) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	return authz.Identity(v), nil
}

type fixed authz.Decision

func (f fixed) Decide(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
	return authz.Decision(f), nil
}

type recorder func(*authz.Record)

func (f recorder) Record(_ context.Context, r *authz.Record) error { f(r); return nil }

// A check that no policy decided, or that only the server failed at, says nothing about a policy.
func TestLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, answers(authz.Decision{}), nil)
		first := live("1", authz.Decision{Reason: authz.TokenExpired})
		first.Decision.Revision = ""
		b.hear(t, first)
		for _, reason := range []authz.Reason{authz.Timeout, authz.Internal, authz.Unrecorded, authz.NotReady, authz.Overloaded} {
			b.hear(t, live("2", authz.Decision{Reason: reason}))
		}
		b.hear(t, live("3", authz.Decision{Reason: authz.PolicyError, Status: 403})) // the policy's own failure
		synctest.Wait()
		if len(b.compared) != 1 || b.compared[0].Record.ID != "3" {
			t.Errorf("%d comparisons", len(b.compared))
		}
	})
}

// The candidate is asked as of the time at which the live policy was, where that is known.
func TestAsksAsOfTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		b := start(t, func(_ context.Context, at time.Time, _ *authz.Request, _ authz.Identity) (authz.Decision, error) {
			asked = append(asked, at)
			return authz.Decision{Revision: "new"}, nil
		}, nil)
		began, evaluated := time.Unix(100, 0), time.Unix(101, 0)
		first, second := live("1", authz.Decision{}), live("2", authz.Decision{Basis: &authz.Basis{Time: evaluated}})
		first.Time, second.Time = began, began
		b.hear(t, first, second)
		synctest.Wait()
		if diff := cmp.Diff([]time.Time{began, evaluated}, asked); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, answers(authz.Decision{}), func(c *shadow.Config) { c.Share, c.MaxChecks, c.MaxBytes = 0.25, 8000, 1<<30 })
		for range 8000 {
			b.hear(t, live("1", authz.Decision{}))
		}
		synctest.Wait()
		if n := len(b.compared); n < 1600 || n > 2400 { // ten standard deviations
			t.Errorf("%d of 8000 were compared, want about 2000", n)
		}
		if b.dropped != 0 {
			t.Errorf("%d dropped: what is not in the sample is no loss", b.dropped)
		}
	})
}
