package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy"
)

func (a *reply) print(out io.Writer) {
	fmt.Fprintln(out, a.outcome())
	d := a.record.Decision
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(columns, "  %s\t%s\n", name, printable(value))
		}
	}
	row("detail", d.Detail)
	row("entrypoint", a.why.Entrypoint)
	row("revision", d.Revision)
	for _, slot := range slices.Sorted(maps.Keys(a.record.Identity.Tokens)) {
		row("token "+slot, string(a.record.Identity.Tokens[slot].Status))
	}
	for _, h := range slices.Concat(d.Upstream.SetHeaders, d.Denial) {
		row("header", h.Name+": "+h.Value)
	}
	row("headers removed", strings.Join(d.Upstream.RemoveHeaders, ", "))
	for _, h := range d.Response {
		row("response header", h.Name+": "+h.Value)
	}
	for _, p := range d.Upstream.SetQuery {
		row("query set", p.Name+"="+p.Value)
	}
	row("query removed", strings.Join(d.Upstream.RemoveQuery, ", "))
	row("scopes", strings.Join(d.Scopes, " "))
	row("body", d.Body)
	if len(d.Metadata) > 0 {
		if text, err := json.Marshal(d.Metadata); err == nil {
			row("metadata", string(text))
		}
	}
	columns.Flush()
	if len(a.why.Rules) > 0 {
		fmt.Fprintln(out)
	}
	printRules(out, "", a.why.Rules)
	printPrinted(out, "", []byte(a.printed))
}

// printRules writes the rules that were tried: those that fired come first.
func printRules(out io.Writer, indent string, rules []policy.Rule) {
	if len(rules) == 0 {
		return
	}
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(columns, "%sOUTCOME\tRULE\tAT\tFIRST EXPRESSION THAT DID NOT HOLD\n", indent)
	for _, outcome := range []policy.Outcome{policy.Fired, policy.Failed, policy.Constant} {
		for _, r := range rules {
			if r.Outcome != outcome {
				continue
			}
			name, failed := r.Name, ""
			if r.Default {
				name += " (default)"
			}
			if r.FailedAt != nil {
				failed = fmt.Sprintf("%s:%d: %s", r.FailedAt.File, r.FailedAt.Line, printable(r.FailedAt.Text))
			}
			line := fmt.Sprintf("%s%s\t%s\t%s:%d\t%s", indent, outcome, name, r.File, r.Line, failed)
			fmt.Fprintln(columns, strings.TrimRight(line, "\t"))
		}
	}
	columns.Flush()
}

// writeJSON names what the policy answers as the policy does.
func (a *reply) writeJSON(out io.Writer) error {
	d := a.record.Decision
	tokens := map[string]authz.TokenStatus{}
	for slot, token := range a.record.Identity.Tokens {
		tokens[slot] = token.Status
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		Allowed    bool                         `json:"allowed"`
		Status     int                          `json:"status,omitempty"`
		Reason     authz.Reason                 `json:"reason"`
		Detail     string                       `json:"detail,omitempty"`
		Entrypoint string                       `json:"entrypoint,omitempty"`
		Revision   string                       `json:"revision,omitempty"`
		Tokens     map[string]authz.TokenStatus `json:"tokens"`
		Headers    map[string][]string          `json:"headers,omitempty"`
		Response   map[string][]string          `json:"response_headers_to_add,omitempty"`
		Removed    []string                     `json:"request_headers_to_remove,omitempty"`
		SetQuery   map[string][]string          `json:"query_parameters_to_set,omitempty"`
		NoQuery    []string                     `json:"query_parameters_to_remove,omitempty"`
		Scopes     []string                     `json:"scopes,omitempty"`
		Body       string                       `json:"body,omitempty"`
		Metadata   map[string]any               `json:"dynamic_metadata,omitempty"`
		Rules      []policy.Rule                `json:"rules"`
		Printed    string                       `json:"printed,omitempty"`
	}{
		d.Allowed, d.Status, d.Reason, d.Detail, a.why.Entrypoint, d.Revision, tokens,
		casefile.HeaderValues(slices.Concat(d.Upstream.SetHeaders, d.Denial)), casefile.HeaderValues(d.Response), d.Upstream.RemoveHeaders,
		casefile.ParameterValues(d.Upstream.SetQuery), d.Upstream.RemoveQuery, d.Scopes, d.Body, d.Metadata, a.why.Rules, a.printed,
	})
}
