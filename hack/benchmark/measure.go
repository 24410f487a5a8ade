package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
)

// policy holds the Rego of both servers.
//
//go:embed policy
var policy embed.FS

// A result is what one mix gave.
type result struct {
	Mix     string
	About   string
	Servers []serverResult
}

// A serverResult is one server in one mix.
type serverResult struct {
	Name      string
	CPU       []time.Duration // per check, of each turn
	Rate      []float64       // checks a second in the closed loop, of each turn
	Latencies []rateResult    `json:",omitempty"`
}

// A rateResult is the latency at a fixed rate, corrected for coordinated omission.
type rateResult struct {
	Rate               int // checks a second
	P50, P90, P99, Max time.Duration
}

// rates of the open loop, in checks a second: from idle to what a slow server does not keep up with.
func rates() []int { return []int{500, 2000, 5000} }

// measure starts the servers and lets them take turns.
func measure(ctx context.Context, w *world, m mix, o options) (result, error) {
	out := result{Mix: m.name, About: m.about}
	choose := contenders
	if o.transports {
		choose = transports
	}
	servers, err := choose(w, o.sallyport, o.profiles)
	if err != nil {
		return out, err
	}
	runs := make([]*turns, len(servers))
	for i, c := range servers {
		if err := c.start(ctx, w); err != nil {
			return out, err
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		if runs[i], err = newTurns(c, w, m); err != nil {
			return out, err
		}
		defer closeAll(runs[i].conns)
	}
	fresh, err := newTokens(w, m, o.turns+1)
	if err != nil {
		return out, err
	}
	for turn := range o.turns + 1 {
		for _, run := range runs {
			if err := run.turn(ctx, turn, o.turn, fresh[turn]); err != nil {
				return out, fmt.Errorf("%s: %w", run.server.name, err)
			}
		}
	}
	for _, run := range runs {
		if o.rates && m.fresh == 0 {
			if err := run.latencies(ctx); err != nil {
				return out, fmt.Errorf("%s: %w", run.server.name, err)
			}
		}
		out.Servers = append(out.Servers, run.result)
	}
	return out, nil
}

// newTokens signs what each turn needs, the same for every server. No server has seen them.
func newTokens(w *world, m mix, turns int) ([][]string, error) {
	out := make([][]string, turns)
	for turn := range out {
		var err error
		if out[turn], err = w.tokens(m.fresh, fmt.Sprintf("fresh-%02d", turn), "clerk", "user"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// turns are those of one server in one mix.
type turns struct {
	server *contender
	world  *world
	mix    mix
	wire   *wire
	conns  []*grpc.ClientConn
	sent   int // checks in turns before, so that what is new stays new
	result serverResult
}

func newTurns(c *contender, w *world, m mix) (*turns, error) {
	token := ""
	switch {
	case m.fresh > 0:
		first, err := w.tokens(1, "fresh-00", "clerk", "user")
		if err != nil {
			return nil, err
		}
		token = first[0]
	case m.token != nil:
		token = m.token(w, 0)
	}
	t, err := newWire(m, token)
	if err != nil {
		return nil, err
	}
	conns, err := c.connections()
	return &turns{server: c, world: w, mix: m, wire: t, conns: conns, result: serverResult{Name: c.name}}, err
}

// turn is one turn; the first, which warms up, is not counted.
func (t *turns) turn(ctx context.Context, number int, d time.Duration, fresh []string) error {
	if t.mix.churn {
		defer t.churn(ctx)()
	}
	before, err := t.server.cpu()
	if err != nil {
		return err
	}
	start := time.Now()
	checks, err := closedLoop(ctx, t.conns, t.source(fresh), t.allow(), d, len(fresh))
	if err != nil {
		return err
	}
	took := time.Since(start)
	after, err := t.server.cpu()
	if err != nil {
		return err
	}
	t.sent += checks
	if number > 0 {
		t.result.CPU = append(t.result.CPU, (after-before)/time.Duration(checks))
		t.result.Rate = append(t.result.Rate, float64(checks)/took.Seconds())
	}
	return nil
}

func (t *turns) allow() bool { return t.mix.allow || !t.server.decides }

func (t *turns) source(fresh []string) source {
	sent := t.sent
	return func(n int) []byte {
		n += sent
		token := ""
		switch {
		case len(fresh) > 0:
			token = fresh[n-sent]
		case t.mix.token != nil:
			token = t.mix.token(t.world, n)
		}
		return t.wire.request(n, t.mix.path(n), token)
	}
}

// churn replaces the policy's data each second until it is stopped.
func (t *turns) churn(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for generation := 1; ; generation++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
			err := t.world.writeData(generation)
			if err == nil && t.server.renew != nil {
				err = t.server.renew(t.server.process.Process)
			}
			if err != nil {
				fmt.Println("churn:", err)
			}
		}
	}()
	return func() { cancel(); <-done }
}

// latencies asks at fixed rates, for two seconds each.
func (t *turns) latencies(ctx context.Context) error {
	for _, rate := range rates() {
		sorted, err := openLoop(ctx, t.conns, t.source(nil), t.allow(), rate, 2*time.Second)
		if err != nil {
			return err
		}
		t.sent += len(sorted)
		t.result.Latencies = append(t.result.Latencies, rateResult{
			Rate: rate, P50: percentile(sorted, 50), P90: percentile(sorted, 90), P99: percentile(sorted, 99), Max: sorted[len(sorted)-1],
		})
	}
	return nil
}
