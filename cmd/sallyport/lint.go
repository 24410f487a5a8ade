package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/lint"
)

// A lintPlan is what the flags of lint say.
type lintPlan struct {
	file        string // of the configuration
	entrypoints []string
	format      string
}

func newLint() *cobra.Command {
	plan := lintPlan{}
	cmd := &cobra.Command{
		Use:   "lint [PATH...]",
		Short: "Find what lets people in by accident in a policy",
		Long: `Read Rego files, directories and bundles as serve would, v1 and v0, and tell what lets people in by
accident: a decision that is to allow by default, a denial that does not happen where the request lacks
something, an identity that the client writes itself. Each finding has a place, FILE:LINE:COLUMN, what is
wrong and the way out. policies/LINT.md explains every kind with examples.

The policy is followed from its entrypoints: those of --path, or of the configuration, and the rules
annotated with "entrypoint: true". Without any it is envoy/authz/allow. Tests (_test.rego) are left out.
Paths take the place of policy.files in the configuration.

A comment takes findings of one kind back, on its line or the next:
  # sallyport:ignore non-deterministic the shop is closed at night
Its reason must be there. Comments that ignore nothing, or a kind that does not exist, are findings.

The exit status is 0 without findings, 3 with some, 1 for a policy that cannot be read or compiled, and 2
for a wrong command line.`,
		Example: `  sallyport lint policies/
  sallyport lint --path main/allow --path main/network policy.rego bundle.tar.gz
  sallyport lint --config sallyport.yaml
  sallyport lint --format json policies/ | jq -r '.findings[].rule'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := plan.run(args)
			if err == nil {
				err = plan.print(cmd.OutOrStdout(), found)
			}
			if err == nil && len(found) > 0 {
				err = statusError{status: exitFindings}
			}
			return err
		},
	}
	addConfigFlag(cmd, &plan.file)
	cmd.Flags().StringArrayVar(&plan.entrypoints, "path", nil, "an entrypoint, such as `a/b/allow`; may be repeated")
	cmd.Flags().StringVarP(&plan.format, "format", "f", "pretty", "the `FORMAT` of the findings: pretty or json")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"pretty", "json"}, cobra.ShellCompDirectiveNoFileComp)) // as for --config
	return cmd
}

func (p *lintPlan) run(paths []string) ([]lint.Finding, error) {
	if p.format != "pretty" && p.format != "json" {
		return nil, usageError{errors.New("--format must be pretty or json")}
	}
	if len(paths) == 0 && p.file == "" {
		return nil, usageError{errors.New("a policy is needed: files, directories or --config")}
	}
	section, err := policySection(p.file)
	if err != nil {
		return nil, err
	}
	if len(paths) > 0 {
		section.Files = paths
	}
	if p.file == "" { // what uses the network is a finding then, and no mistake
		section.Capabilities = policy.Capabilities{AllowNet: []string{"host.invalid"}}
	}
	reading, err := policy.Read(section, p.entrypoints...)
	if err != nil {
		return nil, err
	}
	return lint.Run(reading)
}

func (p *lintPlan) print(out io.Writer, found []lint.Finding) error {
	if p.format == "json" {
		if found == nil {
			found = []lint.Finding{}
		}
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(map[string]any{"findings": found})
	}
	var text strings.Builder
	for _, f := range found {
		fmt.Fprintf(&text, "%s:%d:%d: %s: %s\n    %s\n", f.File, f.Row, f.Col, f.Rule, printable(f.Message), f.Mend)
	}
	if len(found) > 0 {
		fmt.Fprintln(&text, count(int64(len(found)), "finding"))
	}
	_, err := io.WriteString(out, text.String())
	return err
}
