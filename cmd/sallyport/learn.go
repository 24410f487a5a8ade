package main

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/learn"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

// learnFlags are those of the command learn.
type learnFlags struct {
	logs, workloads     []string
	config, out, format string
	distinct            int
}

func newLearn() *cobra.Command {
	var flags learnFlags
	cmd := &cobra.Command{
		Use:   "learn --log FILE|DIR [--config FILE|DIR] [--out DIR]",
		Short: "Propose the least privilege that recorded decisions need",
		Long: `Read a decision log, several times, and propose the least privilege that it needs: rules for the shipped
policy and the same as Rego, which allow what was allowed and nothing that was denied. With the policy that
made the record (--config) also nothing that it denies, as far as requests near to the recorded ones show.

Before anything is offered, every decision is made again by the proposal, and the difference is shown: what
would be newly denied, and why. A proposal that would allow a request that was denied is not made.

With --out the proposal is written to a directory: routes.yaml for policy.data, and policy.rego, each with
request cases made from the record:

  sallyport test DIR/routes.cases.yaml
  sallyport test DIR/rego

The exit status is 0 where everything that was allowed still is, 2 where something is newly denied, and 1 for
an error, also where there is no proposal.`,
		Example: `  sallyport learn --log decisions.ndjson --config sallyport.yaml
  sallyport learn --log /var/log/sallyport --config sallyport.yaml --out proposal/
  sallyport learn --log decisions.ndjson --distinct 10 --format json | jq .routes`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return learnPolicy(cmd, flags) },
	}
	addLogFlag(cmd, &flags.logs)
	f := cmd.Flags()
	f.StringVarP(&flags.config, "config", "c", "", "the configuration `FILE`, or a directory with the policy, that made the record")
	_ = cmd.RegisterFlagCompletionFunc("config", completeConfig) // it fails for a flag that is not there
	f.StringVarP(&flags.out, "out", "o", "", "write the proposal to this `DIRECTORY`")
	f.IntVar(&flags.distinct, "distinct", 3, "how many values a segment of a path must have had to become a parameter")
	f.StringSliceVar(&flags.workloads, "workload", []string{"workload"}, "a `SLOT` whose tokens are workloads'; may be repeated; those with a trustDomain are too")
	f.StringVarP(&flags.format, "format", "f", "pretty", strings.Join(documentFormats, ", "))
	completeWords(cmd, "format", documentFormats...)
	return cmd
}

func (f *learnFlags) check() error {
	switch {
	case len(f.logs) == 0:
		return usageError{errors.New("--log is needed: the decision log to read")}
	case slices.Contains(f.logs, "-"):
		return usageError{errors.New("--log: the log is read several times, so it must be a file")}
	case !slices.Contains(documentFormats, f.format):
		return unknownFormat(f.format)
	case f.distinct < 2:
		return usageError{errors.New("--distinct: must be 2 or more")}
	}
	return nil
}

func learnPolicy(cmd *cobra.Command, flags learnFlags) error {
	if err := flags.check(); err != nil {
		return err
	}
	sought := learn.Config{Distinct: flags.distinct, Workloads: flags.workloads}
	sought.Read = func(ctx context.Context, do func(*history.Record) error) error {
		return readLog(ctx, cmd, flags.logs, do)
	}
	var recorded *policy.Engine
	if flags.config != "" {
		hand, err := takePolicy(cmd.Context(), flags.config)
		if err != nil {
			return err
		}
		defer hand.engine.Close()
		recorded = hand.engine
		sought.Workloads = append(sought.Workloads, hand.workloads()...)
		if sought.Recorded, err = hand.learned(recorded); err != nil {
			return err
		}
	}
	sought.Make = func(ctx context.Context, data map[string]any) (*learn.Policy, error) {
		return proposed(ctx, policy.Config{Default: policies.FS, Data: data}, recorded)
	}
	sought.MakeRego = func(ctx context.Context, module string) (*learn.Policy, error) {
		return proposedRego(ctx, module, recorded)
	}
	found, err := learn.Learn(cmd.Context(), sought)
	if err != nil {
		return err
	}
	return flags.offer(cmd, found)
}

// offer shows the difference and the rules, and writes what was asked for.
func (f *learnFlags) offer(cmd *cobra.Command, found *learn.Proposal) error {
	if err := writeDocument(cmd.OutOrStdout(), f.format, found.Document(), found); err != nil {
		return err
	}
	if f.out != "" {
		if err := writeProposal(f.out, found); err != nil {
			return err
		}
	}
	if len(found.NewlyDenied) > 0 {
		return statusError{status: exitTestFailed}
	}
	return nil
}

// proposed makes a policy that is a proposal.
func proposed(ctx context.Context, asked policy.Config, recorded *policy.Engine) (*learn.Policy, error) {
	h := &hand{}
	asked.Library, asked.Offline, asked.Now = policies.Library, true, h.clock.now
	var err error
	if h.engine, err = policy.New(ctx, asked); err != nil {
		return nil, err
	}
	out, err := h.learned(recorded)
	if err != nil {
		return nil, errors.Join(err, h.engine.Close())
	}
	return out, nil
}

// proposedRego makes one of a module.
func proposedRego(ctx context.Context, module string, recorded *policy.Engine) (*learn.Policy, error) {
	dir, err := os.MkdirTemp("", "sallyport-learn-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "policy.rego"), []byte(module), 0o600); err != nil {
		return nil, err
	}
	return proposed(ctx, policy.Config{Files: []string{dir}}, recorded)
}

// learned is the policy as learning asks it.
func (h *hand) learned(recorded *policy.Engine) (*learn.Policy, error) {
	config := policy.ReplayConfig{Candidate: h.engine, AtRecords: h.engine == recorded}
	if recorded != nil {
		config.Recorded = []*policy.Engine{recorded}
	}
	again, err := policy.NewReplay(config)
	if err != nil {
		return nil, err
	}
	return &learn.Policy{
		Decide: func(ctx context.Context, at time.Time, req *authz.Request, id authz.Identity) (bool, string) {
			h.clock.set(at)
			d, err := h.engine.Decide(ctx, req, id)
			return err == nil && d.Allowed, ruleOfDecision(d)
		},
		Again: func(ctx context.Context, r *history.Record) (bool, string, error) {
			d, err := decidesAgain{again}.Again(ctx, r)
			if _, denied := errors.AsType[*authz.Error](err); denied {
				return false, "", nil
			}
			return err == nil && d.Allowed, ruleOfDecision(d), err
		},
		Close:    h.engine.Close,
		Revision: h.engine.Revision(),
	}, nil
}

// ruleOfDecision is the rule that decided, where the policy names it.
func ruleOfDecision(d authz.Decision) string {
	name, _ := d.Metadata["rule"].(string)
	return name
}

// writeProposal writes rules and Rego, each with its request cases.
func writeProposal(dir string, p *learn.Proposal) error {
	files := map[string]string{
		"routes.yaml": p.Configuration(), "routes.cases.yaml": p.RouteCases,
		"rego/policy.rego": p.Rego, "rego/policy.cases.yaml": p.RegoCases,
	}
	if err := os.MkdirAll(filepath.Join(dir, "rego"), 0o755); err != nil { //nolint:gosec // as people's files are
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(files[name]), 0o644); err != nil { //nolint:gosec // likewise
			return err
		}
	}
	return nil
}
