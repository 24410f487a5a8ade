package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/gaps"
	"github.com/sallyport/sallyport/pkg/policy"
)

// gapsFlags are those of the command gaps.
type gapsFlags struct {
	logs, workloads []string
	config, format  string
	maxLifetime     time.Duration
	top             int
}

func newGaps() *cobra.Command {
	var flags gapsFlags
	cmd := &cobra.Command{
		Use:   "gaps --log FILE|DIR [--config FILE|DIR]",
		Short: "Say where Zero Trust does not hold yet, from recorded decisions",
		Long: `Read a decision log and say where Zero Trust does not hold yet: routes reached without a token, or with a
user's and no workload's identity; what the default alone decided; tokens that live long, are signed
weakly or are for several services; clients without mutual TLS. With the policy at hand (--config) also
rules that admitted nobody, grants that nobody needed, and principals that could reach far more than
they use. Each has its count, a sample and the smallest change that closes it.

The worst come first: the score is the risk, from 1 to 5, times (1 + log10 of the decisions). The matrix
shows who reaches what. deploy/zero-trust.md describes every kind, and the JSON.`,
		Example: `  sallyport gaps --log decisions.ndjson --config sallyport.yaml
  sallyport gaps --log /var/log/sallyport --config policies/ --format html > gaps.html
  sallyport gaps --log decisions.ndjson --format json | jq '.gaps[] | select(.risk > 3)'`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return findGaps(cmd, flags) },
	}
	addLogFlag(cmd, &flags.logs)
	f := cmd.Flags()
	f.StringVarP(&flags.config, "config", "c", "", "the configuration `FILE`, or a directory with the policy")
	_ = cmd.RegisterFlagCompletionFunc("config", completeConfig) // it fails for a flag that is not there
	f.StringSliceVar(&flags.workloads, "workload", []string{"workload"}, "a `SLOT` whose tokens are workloads'; may be repeated; those with a trustDomain are too")
	f.DurationVar(&flags.maxLifetime, "max-lifetime", time.Hour, "the longest `TIME` that a token may live")
	f.StringVarP(&flags.format, "format", "f", "pretty", strings.Join(documentFormats, ", "))
	f.IntVar(&flags.top, "top", 20, "how many gaps pretty and markdown show; 0: all")
	completeWords(cmd, "format", documentFormats...)
	return cmd
}

// addLogFlag adds the flag that names a decision log.
func addLogFlag(cmd *cobra.Command, logs *[]string) {
	cmd.Flags().StringSliceVar(logs, "log", nil, "a decision log: a `FILE`, also .gz, or a directory of them; may be repeated")
}

func (f *gapsFlags) check() error {
	switch {
	case len(f.logs) == 0:
		return usageError{errors.New("--log is needed: the decision log to read")}
	case !slices.Contains(documentFormats, f.format):
		return unknownFormat(f.format)
	case f.top < 0:
		return usageError{errors.New("--top: must be 0 or more")}
	}
	return nil
}

func findGaps(cmd *cobra.Command, flags gapsFlags) error {
	if err := flags.check(); err != nil {
		return err
	}
	ctx := cmd.Context()
	sought := gaps.Config{MaxLifetime: flags.maxLifetime, Workloads: flags.workloads}
	if flags.config != "" {
		hand, err := takePolicy(ctx, flags.config)
		if err != nil {
			return err
		}
		defer hand.engine.Close()
		sought.Workloads = append(sought.Workloads, hand.workloads()...)
		if sought.Policy, err = hand.described(ctx); err != nil {
			return err
		}
	}
	finder := gaps.New(sought)
	add := func(r *history.Record) error { finder.Add(r); return nil }
	if err := readLog(ctx, cmd, flags.logs, add); err != nil {
		return err
	}
	found, err := finder.Report(ctx)
	if err != nil {
		return err
	}
	most := flags.top
	if flags.format == "html" {
		most = 0
	}
	return writeDocument(cmd.OutOrStdout(), flags.format, found.Document(most), found)
}

// readLog reads a log on all processors, and shows on a terminal how far it is.
func readLog(ctx context.Context, cmd *cobra.Command, logs []string, do func(*history.Record) error) error {
	log, err := history.Open(cmd.InOrStdin(), logs...)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	reported := showProgress(ctx, cmd.ErrOrStderr(), log)
	err = log.Each(ctx, runtime.GOMAXPROCS(0), func(_ int, _ history.Place, r *history.Record) error { return do(r) })
	stop()
	<-reported
	return err
}

// A hand is a policy that is asked about requests of the past, without a network.
type hand struct {
	engine *policy.Engine
	cfg    *config.Config // nil where no configuration was given
	clock  clock
}

// takePolicy makes the policy of a configuration, a directory or a bundle.
func takePolicy(ctx context.Context, name string) (*hand, error) {
	h := &hand{}
	given, err := policyAt(name, nil)
	if err != nil {
		return nil, err
	}
	if isConfig(name) {
		if h.cfg, err = config.Load(name); err != nil {
			return nil, err
		}
	}
	given.Now = h.clock.now
	if h.engine, err = policy.New(ctx, given.Config); err != nil {
		return nil, err
	}
	if err := awaitPolicy(ctx, h.engine); err != nil {
		return nil, errors.Join(err, h.engine.Close())
	}
	return h, nil
}

// workloads are the slots that the configuration says are workloads'.
func (h *hand) workloads() []string {
	var out []string
	if h.cfg != nil {
		for _, rule := range h.cfg.JWT.Rules {
			if rule.TrustDomain != "" {
				out = append(out, rule.Name)
			}
		}
	}
	return out
}

func (h *hand) described(ctx context.Context) (*gaps.Policy, error) {
	out := &gaps.Policy{Revision: h.engine.Revision(), Allows: h.allows}
	document, _, err := h.engine.Document(ctx, "", nil)
	if err != nil {
		return nil, err
	}
	data, _ := document.(map[string]any)
	for _, kind := range []string{"routes", "network"} {
		rules, _ := data[kind].([]any) // absent, or something else: no rules that records name
		for i, rule := range rules {
			stated, _ := rule.(map[string]any)
			route, _ := stated["path"].(string)
			out.Rules = append(out.Rules, gaps.Rule{Name: fmt.Sprintf("%s[%d]", kind, i), Route: route, Stated: stated})
		}
	}
	return out, nil
}

// allows asks the second door alone, at the time of the record. What goes wrong denies.
func (h *hand) allows(ctx context.Context, at time.Time, req *authz.Request, id authz.Identity) bool {
	h.clock.set(at)
	d, err := h.engine.Decide(ctx, req, id)
	return err == nil && d.Allowed
}
