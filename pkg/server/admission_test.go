package server_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/server"
)

// A line is what forms before one processor, on a clock of its own.
type line struct {
	admission server.Admission
	now       time.Time
	queue     []context.Context
	arrived   []time.Time
	waits     []time.Duration
}

func newLine() *line {
	l := &line{now: time.Unix(1_800_000_000, 0)}
	l.admission = server.NewAdmission(func() time.Time { return l.now }, server.Load{})
	return l
}

// serve lets checks arrive at an interval for a time, and starts one whenever cost has passed.
func (l *line) serve(t *testing.T, every, cost, d time.Duration) {
	t.Helper()
	end, next := l.now.Add(d), l.now
	for arrival := l.now; arrival.Before(end); arrival = arrival.Add(every) {
		for len(l.queue) > 0 && next.Before(arrival) {
			l.now = next
			l.start(t)
			next = next.Add(cost)
		}
		l.now = arrival
		if len(l.queue) == 0 && next.Before(arrival) {
			next = arrival
		}
		if ctx := l.admission.Arrive(); ctx != nil {
			l.queue, l.arrived = append(l.queue, ctx), append(l.arrived, arrival)
		}
	}
}

func (l *line) start(t *testing.T) {
	t.Helper()
	if err := l.admission.Start(l.queue[0]); err != nil {
		t.Fatal(err)
	}
	l.waits = append(l.waits, l.now.Sub(l.arrived[0]))
	l.queue, l.arrived = l.queue[1:], l.arrived[1:]
}

// What is accepted waits no longer than allowed, however long a check takes, and no more is turned
// away than must be.
func TestAdmission(t *testing.T) {
	for name, tc := range map[string]struct {
		cost     time.Duration
		load     float64       // of the capacity
		wantWait time.Duration // at most, 99 in 100, once it has learnt
		wantShed [2]float64    // share
	}{
		"half load":                  {50 * time.Microsecond, 0.5, time.Millisecond, [2]float64{0, 0}},
		"almost full":                {50 * time.Microsecond, 0.98, time.Millisecond, [2]float64{0, 0}},
		"three times":                {50 * time.Microsecond, 3, 13 * time.Millisecond, [2]float64{0.6, 0.7}},
		"ten times":                  {50 * time.Microsecond, 10, 13 * time.Millisecond, [2]float64{0.85, 0.92}},
		"three times, fast checks":   {5 * time.Microsecond, 3, 13 * time.Millisecond, [2]float64{0.6, 0.7}},
		"three times, slow checks":   {500 * time.Microsecond, 3, 13 * time.Millisecond, [2]float64{0.6, 0.7}},
		"three times, slowest rules": {5 * time.Millisecond, 3, 85 * time.Millisecond, [2]float64{0.6, 0.75}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine()
			every := time.Duration(float64(tc.cost) / tc.load)
			l.serve(t, every, tc.cost, 100*time.Millisecond+500*tc.cost) // to learn
			before := l.admission.Turned()
			l.waits = nil
			d := 200*time.Millisecond + 500*tc.cost
			l.serve(t, every, tc.cost, d)
			slices.Sort(l.waits)
			if p99 := l.waits[len(l.waits)*99/100]; p99 > tc.wantWait {
				t.Errorf("99 of 100 waited up to %s, want %s", p99, tc.wantWait)
			}
			share := float64(l.admission.Turned()-before) / float64(d/every)
			if share < tc.wantShed[0] || share > tc.wantShed[1] {
				t.Errorf("%.2f were turned away, want %v", share, tc.wantShed)
			}
		})
	}
}

// After an overload everything is taken again.
func TestAdmissionRecovers(t *testing.T) {
	const cost = 500 * time.Microsecond
	l := newLine()
	l.serve(t, cost/10, cost, time.Second)
	l.serve(t, 2*cost, cost, 100*time.Millisecond)
	before := l.admission.Turned()
	l.serve(t, 2*cost, cost, time.Second)
	if n := l.admission.Turned() - before; n > 0 {
		t.Errorf("%d were turned away at half load", n)
	}
}

// Checks whose clients are gone before anything was read are forgotten.
func TestAdmissionForgets(t *testing.T) {
	l := newLine()
	for range 100_000 {
		if l.admission.Arrive() == nil {
			break
		}
	}
	if l.admission.Turned() != 1 {
		t.Fatal("the line has no end")
	}
	l.now = l.now.Add(501 * time.Millisecond)
	if l.admission.Arrive() == nil {
		t.Error("a check was turned away for others that are gone")
	}
}

// A burst of what can start in time is taken whole.
func TestAdmissionTakesABurst(t *testing.T) {
	l := newLine()
	l.serve(t, 100*time.Microsecond, 20*time.Microsecond, time.Second)
	for i := range 450 {
		if l.admission.Arrive() == nil {
			t.Fatalf("check %d of a burst was turned away", i)
		}
	}
}

// More checks than may run are turned away, and counted; the health service is not asked for less.
func TestChecksAtOnce(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	s, _ := start(t, server.Config{
		GRPC: loopback(), Services: []string{"test.Slow"}, Register: slowService(entered, finish), Load: server.Load{Checks: 1},
	})
	conn := connect(t, s.GRPCAddr().String(), insecure.NewCredentials())
	first := make(chan error, 1)
	go func() { first <- invokeSlow(conn) }()
	<-entered
	if err := invokeSlow(conn); status.Code(err) != codes.Unavailable || s.Shed() != 1 {
		t.Errorf("a second check: %v; %d turned away", err, s.Shed())
	}
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health: %v", err)
	}
	s.SetLoad(server.Load{Checks: 2})
	second := make(chan error, 1)
	go func() { second <- invokeSlow(conn) }()
	<-entered
	finish <- struct{}{}
	finish <- struct{}{}
	for _, result := range []chan error{first, second} {
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
}

func invokeSlow(conn *grpc.ClientConn) error {
	return conn.Invoke(context.Background(), "/test.Slow/Call", &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
}

func BenchmarkAdmission(b *testing.B) {
	a := server.NewAdmission(time.Now, server.Load{})
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Start(a.Arrive()); err != nil {
			b.Fatal(err)
		}
	}
}
