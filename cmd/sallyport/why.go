package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sallyport/sallyport/pkg/policy"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// whyTime is more than the server takes for an explanation.
const whyTime = 10 * time.Second

func newWhy() *cobra.Command {
	var admin adminFlags
	var format string
	cmd := &cobra.Command{
		Use:   "why DECISION_ID",
		Short: "Explain a decision of a running server, and what would have allowed it",
		Long: `Ask a running Sallyport why a request was allowed or denied: what each door said, the rules that were tried,
of each that failed the first expression that did not hold, with file and line, and what would have
allowed the request: conditions on its tokens, found by evaluating the policy without knowing them.

The id is decision_id in the decision log, in Envoy's dynamic metadata and on the span of a trace. The
server remembers its last decisions, denials longer than others (16 MiB in all), and each replica its own.
The rules are those of the policy as it is now; a change since then is noted.

The admin listener answers on the same machine, or to a client certificate that it verifies. In
Kubernetes: kubectl port-forward POD 9192.`,
		Example: `  sallyport why 4f0c2a8e-3c1d-4a57-9d1b-0f6f4f1f6d2e
  sallyport why --admin 127.0.0.1:19192 --format json 4f0c2a8e-3c1d-4a57-9d1b-0f6f4f1f6d2e`,
		Args: usage(oneDecision),
		RunE: func(cmd *cobra.Command, args []string) error { return explainDecision(cmd, admin, format, args[0]) },
	}
	addAdminFlags(cmd, &admin)
	cmd.Flags().StringVarP(&format, "format", "f", "pretty", "pretty or json")
	completeWords(cmd, "format", "pretty", "json")
	return cmd
}

// oneDecision does not repeat an argument: it may be a credential.
func oneDecision(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("one decision id is needed: decision_id in the decision log")
	}
	return nil
}

func explainDecision(cmd *cobra.Command, admin adminFlags, format, id string) error {
	if format != "pretty" && format != "json" {
		return usageError{fmt.Errorf("--format: %q is not pretty or json", format)}
	}
	conn, err := dialAdmin(admin)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), whyTime)
	defer cancel()
	in := &inspectv1.ExplainRequest{Subject: &inspectv1.ExplainRequest_DecisionId{DecisionId: id}}
	out, err := call[inspectv1.ExplainRequest, inspectv1.ExplainResponse](ctx, conn, "Explain", in)
	if err != nil {
		return err
	}
	if format == "json" {
		text, err := protojson.MarshalOptions{UseProtoNames: true, Multiline: true}.Marshal(out)
		if err == nil {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), string(text))
		}
		return err
	}
	printWhy(cmd.OutOrStdout(), out)
	return nil
}

func printWhy(out io.Writer, x *inspectv1.ExplainResponse) {
	d := x.GetDecision()
	word := "denied"
	if d.GetAllowed() {
		word = "allowed"
	}
	fmt.Fprintf(out, "%s: %s\n", word, d.GetReason())
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(columns, "  %s\t%s\n", name, printable(value))
		}
	}
	row("request", strings.TrimSpace(d.GetMethod()+" "+d.GetHost()+d.GetPath()))
	row("at", d.GetTimestamp().AsTime().Format(time.RFC3339))
	row("detail", d.GetDetail())
	row("stopped at", strings.ReplaceAll(x.GetStoppedAt(), "_", " "))
	for _, slot := range slices.Sorted(maps.Keys(d.GetTokens())) {
		token := d.GetTokens()[slot]
		row("token "+slot, strings.TrimSpace(token.GetStatus()+" "+token.GetSub()))
	}
	row("entrypoint", cmp.Or(x.GetNow().GetEntrypoint(), d.GetEntrypoint()))
	row("revision", d.GetRevision())
	for i, way := range x.GetWouldAllow() {
		name := "would be allowed if"
		if i > 0 {
			name = "or if"
		}
		row(name, way)
	}
	for _, note := range x.GetNotes() {
		row("note", note)
	}
	columns.Flush()
	if len(x.GetNow().GetRules()) > 0 {
		fmt.Fprintln(out)
		printRules(out, "", rules(x.GetNow()))
	}
}

// rules are those of an evaluation, as eval prints them.
func rules(x *inspectv1.Evaluation) []policy.Rule {
	var out []policy.Rule
	for _, r := range x.GetRules() {
		rule := policy.Rule{Name: r.GetName(), File: r.GetFile(), Line: int(r.GetLine()), Default: r.GetDefault(), Outcome: policy.Outcome(r.GetOutcome())}
		if at := r.GetFailedAt(); at != nil {
			rule.FailedAt = &policy.Place{File: at.GetFile(), Line: int(at.GetLine()), Text: at.GetText()}
		}
		out = append(out, rule)
	}
	return out
}
