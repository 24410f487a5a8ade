package server

import (
	"cmp"
	"context"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// Load is how much is taken at once.
type Load struct {
	Connections int           // on the gRPC listener; 0: 8192
	Checks      int           // that run, waiting for the network included; 0: 4096
	Wait        time.Duration // that an accepted check may stand in line for a processor; 0: 10 ms
	Time        time.Duration // within which a check is there as a whole and answered, or ended; 0: 10 s
}

const (
	// firstInterval is taken for the time between two starts until there is something to measure:
	// 500 checks may then wait.
	firstInterval = 20 * time.Microsecond
	// leastLine may wait in any case: a processor that was away for a moment is no overload.
	leastLine = 16
	// tellingLine is long enough to tell of speed; in a shorter one it is chance.
	tellingLine = 8
	// memory is how long a check that was admitted and never started is taken for one that waits, at
	// least; at most twice as long. Its client was gone before it was read.
	memory = 250 * time.Millisecond
)

// An admission turns checks away that would wait too long, so that those it takes are fast.
//
// grpc-go starts a goroutine for every check, and where there are more of them than processors they
// stand in a line that nobody bounds. What there is too much of shows in that line alone: a policy
// that waits for the network makes checks long, and not the line. So the admission looks at the time
// from a check's first frame (tap) to the start of its handler (intercept), learns from it how long
// one place in the line takes, and lets no more stand there than can start within [Load.Wait]. A
// check that is turned away costs neither goroutine nor decoding.
//
// Limiters that go by the time of a whole call, as those of failsafe-go and go-concurrency-limits do,
// take a slow answer of somebody else for load of their own, and cost a lock for each call.
type admission struct {
	prefixes []string // of the methods that it is for
	now      func() time.Time
	shed     atomic.Uint64

	checks  atomic.Int64
	wait    atomic.Int64 // nanoseconds
	time    atomic.Int64 // nanoseconds
	running atomic.Int64

	interval atomic.Int64 // nanoseconds from one start to the next, the median
	epoch    atomic.Int64 // number of the current span of memory
	waiting  [2]atomic.Int64
}

func newAdmission(services []string, now func() time.Time) *admission {
	a := &admission{now: now}
	for _, service := range services {
		a.prefixes = append(a.prefixes, "/"+service+"/")
	}
	a.interval.Store(int64(firstInterval))
	return a
}

func (a *admission) set(load Load) {
	a.checks.Store(int64(cmp.Or(load.Checks, 4096)))
	a.wait.Store(int64(cmp.Or(load.Wait, 10*time.Millisecond)))
	a.time.Store(int64(cmp.Or(load.Time, 10*time.Second)))
}

// A ticket is a check in line. It goes from tap to intercept in the context, since grpc-go has no
// other way between the two.
type ticket struct {
	context.Context //nolint:containedctx // it is one
	at              time.Time
	epoch           int64
	ahead           int64
	cancel          context.CancelFunc // of the deadline that we set; nil: none
}

type ticketKey struct{}

// Value implements [context.Context].
func (t *ticket) Value(key any) any {
	if _, ok := key.(ticketKey); ok {
		return t
	}
	return t.Context.Value(key)
}

// tap is a [tap.ServerInHandle]. It runs on the goroutine that reads the connection.
func (a *admission) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if !a.watches(info.FullMethodName) {
		return ctx, nil
	}
	t := &ticket{Context: ctx, at: a.now()}
	t.epoch = a.turn(t.at)
	line := a.waiting[t.epoch&1].Load() + max(a.waiting[(t.epoch+1)&1].Load(), 0)
	if line >= max(a.wait.Load()/a.interval.Load(), leastLine) || a.running.Load() >= a.checks.Load() {
		a.shed.Add(1)
		return nil, refuse()
	}
	t.limit(time.Duration(a.time.Load()))
	t.ahead = line + 1
	a.waiting[t.epoch&1].Add(1)
	return t, nil
}

// limit ends a check whose caller sent its headers and not its message, which would hold its goroutine as
// long as the connection is open. Envoy sets a deadline itself, as a rule a shorter one.
func (t *ticket) limit(most time.Duration) {
	if due, ok := t.Deadline(); ok && time.Until(due) <= most {
		return
	}
	t.Context, t.cancel = context.WithTimeout(t.Context, most)
}

func (a *admission) watches(method string) bool {
	for _, prefix := range a.prefixes {
		if strings.HasPrefix(method, prefix) {
			return true
		}
	}
	return false
}

// turn gives the current epoch. The first check of a new one clears the count of the last but one,
// and so forgets who never started.
func (a *admission) turn(now time.Time) int64 {
	epoch := now.UnixNano() / int64(memory)
	if last := a.epoch.Load(); last != epoch && a.epoch.CompareAndSwap(last, epoch) {
		a.waiting[epoch&1].Store(0)
		if epoch != last+1 {
			a.waiting[(epoch+1)&1].Store(0)
		}
	}
	return epoch
}

// intercept is a [grpc.UnaryServerInterceptor].
func (a *admission) intercept(ctx context.Context, in any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	t, ok := ctx.Value(ticketKey{}).(*ticket)
	if !ok {
		return handler(ctx, in)
	}
	if t.cancel != nil {
		defer t.cancel()
	}
	a.start(t)
	defer a.running.Add(-1)
	if a.running.Add(1) > a.checks.Load() {
		a.shed.Add(1)
		return nil, refuse()
	}
	return handler(ctx, in)
}

// start takes a check out of the line, and learns from how long it stood there. The interval moves by
// a small part towards each sample, whatever its size: so it becomes their median, and the few that
// waited for their own sender do not count for more.
func (a *admission) start(t *ticket) {
	if t.epoch >= a.epoch.Load()-1 {
		a.waiting[t.epoch&1].Add(-1)
	}
	if t.ahead < tellingLine {
		return
	}
	interval := a.interval.Load()
	sample := int64(a.now().Sub(t.at)) / t.ahead
	switch step := max(interval/32, 1); {
	case sample > interval:
		a.interval.Store(interval + step)
	case interval > 100: // nanoseconds; no check starts faster
		a.interval.Store(interval - step)
	}
}

func refuse() error { return status.Error(codes.Unavailable, "overloaded") }
