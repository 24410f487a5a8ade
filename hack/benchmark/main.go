package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	sallyport  string
	out        string
	mixes      string
	turns      int
	turn       time.Duration
	rates      bool
	memory     int
	overload   bool
	transports bool
	envoy      string
	profiles   string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmark:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 2 && arguments[0] == "serve-empty" {
		return serve(ctx, arguments[1], empty{})
	}
	if len(arguments) == 3 && arguments[0] == "serve-usual" {
		service, err := newUsual(ctx, arguments[1])
		if err != nil {
			return err
		}
		return serve(ctx, arguments[2], service)
	}
	o, err := parse(arguments)
	if err != nil {
		return err
	}
	return o.run(ctx)
}

func parse(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("hack/bench", flag.ContinueOnError)
	flags.StringVar(&o.sallyport, "sallyport", "sallyport", "the `binary` under measurement")
	flags.StringVar(&o.out, "out", "bench", "`directory` of the results: report.html, results.json")
	flags.StringVar(&o.mixes, "mixes", "", "comma-separated `names` of mixes; empty: all")
	flags.IntVar(&o.turns, "turns", 5, "turns of each server in each mix")
	flags.DurationVar(&o.turn, "turn", 2*time.Second, "length of a turn")
	flags.BoolVar(&o.rates, "rates", true, "measure latencies at fixed rates, too")
	flags.IntVar(&o.memory, "memory", 0, "instead: memory after `N` distinct users and paths, such as 1000000")
	flags.BoolVar(&o.overload, "overload", false, "instead: what becomes of checks at half of, at and at three times the capacity")
	flags.BoolVar(&o.transports, "transports", false, "Sallyport alone: over TCP, a Unix socket and mutual TLS")
	flags.StringVar(&o.envoy, "envoy", "", "path of an Envoy `binary`: measure the latency through it, too")
	flags.StringVar(&o.profiles, "profile", "", "`directory` for Sallyport's CPU and allocation profiles of the last mix")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if o.turns < 1 || o.turn <= 0 {
		return o, errors.New("--turns and --turn must be more than 0")
	}
	return o, nil
}

// chosen are the mixes that were asked for.
func (o options) chosen() ([]mix, error) {
	all := mixes()
	if o.mixes == "" {
		return all, nil
	}
	var out []mix
	for name := range strings.SplitSeq(o.mixes, ",") {
		at := slices.IndexFunc(all, func(m mix) bool { return m.name == name })
		if at < 0 {
			return nil, fmt.Errorf("--mixes: there is no mix %q", name)
		}
		out = append(out, all[at])
	}
	return out, nil
}

func (o options) run(ctx context.Context) error {
	chosen, err := o.chosen()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writePolicies(dir); err != nil {
		return err
	}
	w, err := newWorld(dir)
	if err != nil {
		return err
	}
	for _, directory := range []string{o.out, o.profiles} {
		if directory == "" {
			continue
		}
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return err
		}
	}
	if o.memory > 0 {
		return measureMemory(ctx, w, o)
	}
	if o.overload {
		return measureOverload(ctx, w, o)
	}
	results := results{Started: time.Now().UTC(), Machine: machine(), Turns: o.turns, Turn: o.turn}
	for _, m := range chosen {
		result, err := measure(ctx, w, m, o)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		results.Mixes = append(results.Mixes, result)
		result.print(os.Stdout)
	}
	if o.envoy != "" {
		if results.Envoy, err = measureEnvoy(ctx, w, o); err != nil {
			return fmt.Errorf("through Envoy: %w", err)
		}
		printEnvoy(os.Stdout, results.Envoy)
	}
	return results.write(o.out)
}

// writePolicies gives each server its directory: the rules are the same.
func writePolicies(dir string) error {
	for _, server := range []string{"sallyport", "usual"} {
		if err := os.MkdirAll(filepath.Join(dir, server), 0o700); err != nil {
			return err
		}
		for name, source := range map[string]string{"authz.rego": "policy/shared/authz.rego", "caller.rego": "policy/" + server + "/caller.rego"} {
			text, err := policy.ReadFile(source)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, server, name), text, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
