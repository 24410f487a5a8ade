package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// A source gives the nth CheckRequest of a mix.
type source func(n int) []byte

// raw passes messages as the bytes they are: the client shares the machine with the server.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// check asks once. An answer that is not the one expected is an error: a fast wrong one is worth nothing.
func check(ctx context.Context, conn *grpc.ClientConn, request []byte, allow bool) error {
	var answer []byte
	if err := conn.Invoke(ctx, authv3.Authorization_Check_FullMethodName, &request, &answer); err != nil {
		return err
	}
	// The first field of a CheckResponse is its status; code OK, being 0, is not written.
	if allowed := bytes.HasPrefix(answer, []byte{0x0a, 0x00}); allowed != allow {
		return fmt.Errorf("answered allow=%v, want %v", allowed, allow)
	}
	return nil
}

// closedLoop lets workers ask one check after the other, until time is up or limit checks are made
// (0: no limit), and says how many.
func closedLoop(ctx context.Context, conns []*grpc.ClientConn, requests source, allow bool, d time.Duration, limit int) (int, error) {
	const workers = 16 // what an Envoy has in flight, about
	var next, done atomic.Int64
	errs := make([]error, workers)
	end := time.Now().Add(d)
	var wait sync.WaitGroup
	for i := range workers {
		wait.Go(func() {
			for time.Now().Before(end) && errs[i] == nil {
				n := int(next.Add(1)) - 1
				if limit > 0 && n >= limit {
					return
				}
				errs[i] = check(ctx, conns[i%len(conns)], requests(n), allow)
				done.Add(1)
			}
		})
	}
	wait.Wait()
	return int(done.Load()), errors.Join(errs...)
}

// openLoop asks at a fixed rate.
func openLoop(ctx context.Context, conns []*grpc.ClientConn, requests source, allow bool, rate int, d time.Duration) ([]time.Duration, error) {
	return pace(rate, d, func(n int) error { return check(ctx, conns[n%len(conns)], requests(n), allow) })
}

// pace calls ask at a fixed rate, whether answers come or not, and gives the latencies, sorted. The
// latency of a call counts from the moment it was due, so that a stall is felt by every call that
// would have come meanwhile.
func pace(rate int, d time.Duration, ask func(n int) error) ([]time.Duration, error) {
	const workers = 256 // more than ever wait at the rates that are asked
	return paceWith(workers, rate, d, func(n int, _ time.Time) error { return ask(n) })
}

// paceWith is pace with a number of workers; ask hears when it was due.
func paceWith(workers, rate int, d time.Duration, ask func(n int, due time.Time) error) ([]time.Duration, error) {
	total := int(float64(rate) * d.Seconds())
	latencies := make([]time.Duration, total)
	errs := make([]error, workers)
	start := time.Now().Add(10 * time.Millisecond)
	var next atomic.Int64
	var wait sync.WaitGroup
	for i := range workers {
		wait.Go(func() {
			for errs[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= total {
					return
				}
				due := start.Add(time.Duration(n) * time.Second / time.Duration(rate))
				time.Sleep(time.Until(due))
				errs[i] = ask(n, due)
				latencies[n] = time.Since(due)
			}
		})
	}
	wait.Wait()
	slices.Sort(latencies)
	return latencies, errors.Join(errs...)
}

// percentile is of sorted values.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(p/100*float64(len(sorted))), len(sorted)-1)]
}
