package shadow_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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
			var none map[string]int
			none["a"]++
			return allow, nil
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

// A candidate that hangs holds up nobody: what has no room is dropped and counted, and its deadline
// ends it.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(ctx context.Context, _ time.Time, _ *authz.Request, _ authz.Identity) (authz.Decision, error) {
			<-ctx.Done()
			return authz.Decision{Revision: "new"}, &authz.Error{Reason: authz.Timeout, Err: ctx.Err()}
		}, func(c *shadow.Config) { c.MaxChecks, c.Timeout = 3, time.Minute })
		b.hear(t, live("1", authz.Decision{}))
		synctest.Wait() // the worker has it
		began := time.Now()
		for range 100 {
			b.hear(t, live("2", authz.Decision{}))
		}
		if time.Since(began) != 0 || b.dropped != 97 {
			t.Errorf("100 checks waited %v, and %d were dropped, want 97", time.Since(began), b.dropped)
		}
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		r := b.Report()
		if r.Compared != 4 || r.Failed != 4 || r.Dropped != 97 || b.compared[0].Candidate.Reason != authz.Timeout {
			t.Errorf("the report is %+v", r)
		}
		b.hear(t, live("3", authz.Decision{}))
		synctest.Wait()
		b.end(t) // ends what runs; the bubble would not end with a goroutine that is left
		if n := b.Report().Compared; n != 4 {
			t.Errorf("%d compared: what was cut off is no comparison", n)
		}
	})
}

// An evaluation that does not look at its deadline holds up who ends the trial only for a time.
func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := start(t, func(context.Context, time.Time, *authz.Request, authz.Identity) (authz.Decision, error) {
			<-release
			return authz.Decision{Revision: "new"}, nil
		}, nil)
		b.hear(t, live("1", authz.Decision{}))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Close(ctx); err == nil || !strings.Contains(err.Error(), "does not end") {
			t.Errorf("%v", err)
		}
		close(release)
	})
}

// What waits keeps its messages in memory, so bytes are bounded too.
func TestQueueBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := start(t, func(context.Context, time.Time, *authz.Request, authz.Identity) (authz.Decision, error) {
			<-release
			return authz.Decision{Revision: "new"}, nil
		}, func(c *shadow.Config) { c.MaxBytes = 5 << 20 })
		large := live("1", authz.Decision{})
		large.Request.MessageBytes = 1 << 20
		b.hear(t, large)
		synctest.Wait()
		b.hear(t, large, large, large) // two mebibytes each
		if b.dropped != 1 {
			t.Errorf("%d dropped, want 1", b.dropped)
		}
		close(release)
		synctest.Wait()
		b.hear(t, large, large)
		synctest.Wait()
		if len(b.compared) != 5 || b.dropped != 1 {
			t.Errorf("%d compared, %d dropped: the room did not come back", len(b.compared), b.dropped)
		}
	})
}

// While checks are turned away, nothing is compared.
func TestGivesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shed atomic.Uint64
		b := start(t, answers(authz.Decision{}), func(c *shadow.Config) { c.Pressure = shed.Load })
		ask := func() {
			b.hear(t, live("1", authz.Decision{}))
			synctest.Wait()
		}
		ask()
		shed.Add(1)
		ask()
		time.Sleep(900 * time.Millisecond)
		ask()
		time.Sleep(200 * time.Millisecond)
		ask()
		if len(b.compared) != 2 || b.dropped != 2 {
			t.Errorf("%d compared, %d dropped, want 2 and 2", len(b.compared), b.dropped)
		}
	})
}

// A check costs no allocation for being compared, and none for being dropped.
func TestRecordAllocates(t *testing.T) {
	release := make(chan struct{})
	b := start(t, func(context.Context, time.Time, *authz.Request, authz.Identity) (authz.Decision, error) {
		<-release
		return authz.Decision{Revision: "new"}, nil
	}, func(c *shadow.Config) { c.Share, c.MaxChecks = 0.9, 500 })
	defer close(release)
	record := live("1", authz.Decision{})
	if n := testing.AllocsPerRun(1000, func() { b.hear(t, record) }); n != 0 {
		t.Errorf("%v allocations a check", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	release := make(chan struct{})
	s := shadow.New(shadow.Config{
		Decide: func(context.Context, time.Time, *authz.Request, authz.Identity) (authz.Decision, error) {
			<-release
			return authz.Decision{}, nil
		},
		Revisions: func() (string, string) { return "old", "new" },
	})
	defer close(release)
	record := live("1", authz.Decision{})
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Record(b.Context(), record); err != nil {
			b.Fatal(err)
		}
	}
}
