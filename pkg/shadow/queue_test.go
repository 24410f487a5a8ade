package shadow_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/shadow"
)

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
