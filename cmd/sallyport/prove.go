package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/prove"
	"github.com/sallyport/sallyport/policies"
)

// A provePlan is what the flags of prove say.
type provePlan struct {
	config, path, format string
	never, slots         []string
	timeout              time.Duration
}

func newProve() *cobra.Command {
	var plan provePlan
	cmd := &cobra.Command{
		Use:   "prove [DIR|FILE...] [--never CONDITION]",
		Short: "Prove that a policy allows no request for which a condition holds, or find one",
		Long: `Prove that no request whatever is allowed for which a condition holds. The policy is evaluated with the
request unknown: wherever the answer depends on the request, all answers are followed. The verdict is

  PROVED          no request is allowed for which the condition holds
  COUNTEREXAMPLE  one is: it is shown, and the policy was asked about it as serve would ask
  UNKNOWN         neither was found out; the expression that stands in the way is named

The condition is the body of a rule, in Rego. It speaks of input as the policy does, of the policy's own
package by its last name, and of the library's packages by theirs:

  --never 'input.parsed_path[0] == "admin"; not input.tokens.users.status == "valid"'
  --never 'authz.is_admin_page; not roles.any(input.tokens.users.claims, ["admin"])'

Without --never the invariants are proved that are found in the directories and files (names that end in
.invariants.yaml, .yml or .json); "sallyport test" proves them too. policies/PROVE.md tells more.

The policy is what the directories and files hold, bundle archives among them, or that of --config with its
data and token slots; without any, the shipped one. A policy that a server of bundles keeps is not fetched.

The exit status is 0 where all was proved, 2 where there is a counterexample (and for a wrong command line),
3 where something is unknown, 1 for an error.`,
		Example: `  sallyport prove --config sallyport.yaml --never 'input.parsed_path[0] == "admin"; not input.tokens.users.status == "valid"'
  sallyport prove policies/ --never 'input.attributes.request.http.method == "DELETE"; not "admin" in input.tokens.users.claims.roles'
  sallyport prove policies/`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return plan.prove(cmd, args) },
	}
	plan.add(cmd)
	return cmd
}

func (p *provePlan) prove(cmd *cobra.Command, args []string) error {
	proofs, err := p.run(cmd.Context(), args)
	if err == nil {
		err = p.print(cmd.OutOrStdout(), proofs)
	}
	if err == nil {
		err = statusOf(proofs)
	}
	return err
}

func (p *provePlan) add(cmd *cobra.Command) {
	addConfigFlag(cmd, &p.config)
	f := cmd.Flags()
	f.StringArrayVar(&p.never, "never", nil, "the `CONDITION` for which no request may be allowed; may be repeated")
	f.StringVar(&p.path, "path", "", "the entrypoint to ask, `a/b/allow` for data.a.b.allow (default envoy/authz/allow, or policy.path)")
	f.StringSliceVar(&p.slots, "slots", nil, "the token `SLOTS` that there are, where no configuration says (default those that the policy names)")
	f.DurationVar(&p.timeout, "timeout", defaultProofTime, "how long to look, for each condition")
	f.StringVarP(&p.format, "format", "f", "pretty", "pretty or json")
	completeWords(cmd, "format", "pretty", "json")
}

func (p *provePlan) check() error {
	switch {
	case p.format != "pretty" && p.format != "json":
		return usageError{fmt.Errorf("--format: %q is not pretty or json", p.format)}
	case p.timeout <= 0:
		return usageError{errors.New("--timeout: must be more than 0")}
	case len(p.slots) > 0 && p.config != "":
		return usageError{errors.New("--slots: the slots are those of --config")}
	}
	for _, text := range p.never {
		if strings.TrimSpace(text) == "" {
			return usageError{errors.New("--never: the condition is empty")}
		}
	}
	return nil
}

func (p *provePlan) run(ctx context.Context, args []string) ([]*proof, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	prover, err := p.prover(ctx, args)
	if err != nil {
		return nil, err
	}
	if len(p.never) == 0 {
		return p.invariants(ctx, prover, args)
	}
	var out []*proof
	for _, text := range p.never {
		proof, err := prover.prove(ctx, claim{Never: text, file: "--never", line: 1})
		if err != nil {
			return nil, err
		}
		out = append(out, proof)
	}
	return out, nil
}

func (p *provePlan) prover(ctx context.Context, args []string) (*prover, error) {
	out := &prover{
		config:  policy.Config{Files: policyFiles(args), Default: policies.FS, Library: policies.Library},
		runner:  casefile.Runner{Slots: p.slots},
		timeout: p.timeout,
	}
	if p.config != "" {
		cfg, err := config.Load(p.config)
		if err != nil {
			return nil, err
		}
		if err := out.configure(ctx, cfg); err != nil {
			return nil, err
		}
		if len(args) > 0 {
			out.config.Files = policyFiles(args)
		}
	}
	if p.path != "" {
		out.config.Entrypoint, out.config.Entrypoints = p.path, nil
	}
	return out, nil
}

// configure takes policy, data and tokens of a configuration.
func (p *prover) configure(ctx context.Context, cfg *config.Config) (err error) {
	p.config = policyConfig(cfg, slog.New(slog.DiscardHandler))
	p.required, p.carriers = requiredSlots(cfg), carriers(cfg)
	p.runner, err = statedRunner(ctx, cfg)
	return err
}

func requiredSlots(cfg *config.Config) []string {
	var names []string
	for _, r := range cfg.JWT.Rules {
		if r.Required {
			names = append(names, r.Name)
		}
	}
	return names
}

// carriers are the first header of each rule.
func carriers(cfg *config.Config) map[string]string {
	out := map[string]string{}
	for _, r := range cfg.JWT.Rules {
		if len(r.FromHeaders) > 0 {
			out[r.Name] = r.FromHeaders[0].Name + ": " + r.FromHeaders[0].Prefix
		}
	}
	return out
}

// invariants proves those of the files.
func (p *provePlan) invariants(ctx context.Context, prover *prover, args []string) ([]*proof, error) {
	if len(args) == 0 {
		args = prover.config.Files
	}
	files, err := invariantFiles(args)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, usageError{errors.New("--never is needed: no file of invariants was found")}
	}
	var out []*proof
	for _, file := range files {
		for _, c := range claimsOf(file) {
			proof, err := prover.with(file).prove(ctx, c)
			if err != nil {
				return nil, err
			}
			out = append(out, proof)
		}
	}
	return out, nil
}

// with is the prover for the invariants of a file.
func (p *prover) with(file *casefile.Invariants) *prover {
	out := *p
	if file.Path != "" {
		out.config.Entrypoint, out.config.Entrypoints = file.Path, nil
	}
	if len(file.Data) > 0 {
		out.config.Data = maps.Clone(p.config.Data)
		if out.config.Data == nil {
			out.config.Data = map[string]any{}
		}
		maps.Copy(out.config.Data, file.Data)
	}
	if p.runner.Suppose == nil && len(file.Slots) > 0 {
		out.runner.Slots = file.Slots
	}
	return &out
}

func claimsOf(file *casefile.Invariants) []claim {
	out := make([]claim, len(file.List))
	for i, v := range file.List {
		out[i] = claim{Note: v.Note, Never: v.Never, file: file.Name, line: v.At}
	}
	return out
}

func statusOf(proofs []*proof) error {
	verdict := func(v prove.Verdict) bool {
		return slices.ContainsFunc(proofs, func(p *proof) bool { return p.Verdict == v })
	}
	switch {
	case verdict(prove.Counterexample):
		return statusError{status: exitTestFailed}
	case verdict(prove.Unknown):
		return statusError{status: exitFindings}
	}
	return nil
}

func (p *provePlan) print(out io.Writer, proofs []*proof) error {
	if p.format == "json" {
		raw, err := jsonText(map[string]any{"proofs": proofs})
		if err != nil {
			return err
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, raw, "", "  "); err != nil {
			return err
		}
		_, err = indented.WriteTo(out)
		return err
	}
	_, colour := onTerminal(out)
	for i, proof := range proofs {
		if i > 0 {
			fmt.Fprintln(out)
		}
		proof.print(out, terminalWidth(out), colour)
	}
	return nil
}

// jsonText writes JSON without escapes for HTML.
func jsonText(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return out.Bytes(), nil
}
