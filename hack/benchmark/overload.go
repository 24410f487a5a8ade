package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// overloadMix has checks that are dear enough for one processor of clients to ask for too many.
const overloadMix = "body"

// An overload is one rate, and what became of its checks.
type overload struct {
	times    float64 // of the capacity
	accepted []time.Duration
	late     []time.Duration // of those that were turned away
	shed     int
	resident []int64
}

// measureOverload asks Sallyport, on one processor, for multiples of what it can do, and prints how
// long what it accepts takes, and what it holds. Clients have the other processors.
func measureOverload(ctx context.Context, w *world, o options) (err error) {
	servers, err := contenders(w, o.sallyport, o.profiles)
	if err != nil {
		return err
	}
	server := servers[len(servers)-1]
	server.limits = "{}"
	if taskset, err := exec.LookPath("taskset"); err == nil {
		server.command = append([]string{taskset, "--cpu-list", "0"}, server.command...)
	}
	if err := os.Setenv("GOMAXPROCS", "1"); err != nil { // the server's: ours is set by now
		return err
	}
	if err := server.start(ctx, w); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	all := mixes()
	m := all[slices.IndexFunc(all, func(m mix) bool { return m.name == overloadMix })]
	t, err := newTurns(server, w, m)
	if err != nil {
		return err
	}
	defer closeAll(t.conns)
	var capacity float64
	for range 3 { // the first warms up
		if capacity, err = t.capacity(ctx, o.turn); err != nil {
			return err
		}
	}
	fmt.Printf("%s: capacity %.0f checks/s on one processor; in milliseconds and MiB:\n", m.name, capacity)
	fmt.Println(" load  offered/s  accepted/s  shed/s  p50    p99    max    shed p99  resident")
	for _, times := range []float64{0.5, 1, 3} {
		result, err := t.overload(ctx, times, int(capacity*times), 5*o.turn)
		if err != nil {
			return err
		}
		result.print(capacity*times, 5*o.turn)
	}
	return nil
}

// capacity is how many checks a second are accepted and answered while a few are always under way.
func (t *turns) capacity(ctx context.Context, d time.Duration) (float64, error) {
	const workers = 8
	requests := t.source(nil)
	var accepted, next atomic.Int64
	errs := make([]error, workers)
	end := time.Now().Add(d)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() {
			for time.Now().Before(end) && errs[i] == nil {
				err := check(ctx, t.conns[i%len(t.conns)], requests(int(next.Add(1))), true)
				if err == nil {
					accepted.Add(1)
				} else if status.Code(err) != codes.Unavailable {
					errs[i] = err
				}
			}
		})
	}
	wait.Wait()
	return float64(accepted.Load()) / d.Seconds(), errors.Join(errs...)
}

// overload asks at a rate.
func (t *turns) overload(ctx context.Context, times float64, rate int, d time.Duration) (overload, error) {
	out := overload{times: times}
	stop := t.watchMemory(&out)
	var mu sync.Mutex
	var shed atomic.Int64
	requests := t.source(nil)
	_, err := paceWith(8192, rate, d, func(n int, due time.Time) error {
		err := check(ctx, t.conns[n%len(t.conns)], requests(n), true)
		took := time.Since(due)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			out.accepted = append(out.accepted, took)
		case status.Code(err) == codes.Unavailable:
			shed.Add(1)
			out.late = append(out.late, took)
		default:
			return err
		}
		return nil
	})
	stop()
	out.shed = int(shed.Load())
	slices.Sort(out.accepted)
	slices.Sort(out.late)
	return out, err
}

// watchMemory notes what the server holds, ten times a second, until it is stopped.
func (t *turns) watchMemory(out *overload) (stop func()) {
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			if resident, err := t.server.resident(); err == nil {
				out.resident = append(out.resident, resident)
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-stopped }
}

func (o overload) print(offered float64, d time.Duration) {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", float64(d)/1e6) }
	var memory []string
	for i := range 4 { // a quarter of the time each
		quarter := o.resident[i*len(o.resident)/4 : (i+1)*len(o.resident)/4]
		memory = append(memory, fmt.Sprintf("%.0f", float64(slices.Max(quarter))/(1<<20)))
	}
	fmt.Printf("%4.1fx  %9.0f  %10.0f  %6.0f  %-5s  %-5s  %-5s  %-8s  %s\n", o.times, offered,
		float64(len(o.accepted))/d.Seconds(), float64(o.shed)/d.Seconds(), ms(percentile(o.accepted, 50)), ms(percentile(o.accepted, 99)),
		ms(percentile(o.accepted, 100)), ms(percentile(o.late, 99)), strings.Join(memory, " "))
}
