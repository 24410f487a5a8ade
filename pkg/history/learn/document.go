package learn

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/pkg/history/routes"
	"github.com/sallyport/sallyport/pkg/report"
)

// Document lays out the difference, and then the rules.
func (p *Proposal) Document() *report.Document {
	lost := 0
	for _, loss := range p.NewlyDenied {
		lost += loss.Decisions
	}
	d := &report.Document{
		Title: "Least privilege",
		Lead:  fmt.Sprintf("%d rules allow %d of the %d requests that were allowed, and none of the %d that the policy denied.", len(p.rules), p.Allowed, p.Allowed+lost, p.Denied),
		Facts: []report.Fact{
			{Name: "decisions", Value: strconv.Itoa(p.Decisions)},
			{Name: "newly allowed", Value: strconv.Itoa(p.NewlyAllowed), Tone: report.Good},
			{Name: "newly denied", Value: strconv.Itoa(lost), Tone: map[bool]report.Tone{true: report.Good, false: report.Danger}[lost == 0]},
		},
		Note: p.note(),
	}
	if p.Unsure > 0 {
		d.Facts = append(d.Facts, report.Fact{Name: "denied before, not certain now", Value: strconv.Itoa(p.Unsure), Tone: report.Warning})
	}
	for _, why := range slices.Sorted(maps.Keys(p.Skipped)) {
		d.Facts = append(d.Facts, report.Fact{Name: "denied, not by the policy", Value: fmt.Sprintf("%d: %s", p.Skipped[why], why)})
	}
	difference := report.Section{Title: "Difference", Note: "Decided again by the proposal, nothing changes but this:"}
	if len(p.NewlyDenied) == 0 {
		difference.Note = "Decided again by the proposal, every decision of the policy is as it was."
	}
	difference.Columns = []report.Column{{Name: "newly denied", Right: true}, {Name: "route"}, {Name: "why"}, {Name: "sample"}}
	for _, loss := range p.NewlyDenied {
		difference.Rows = append(difference.Rows, report.Row{Tone: report.Warning, Cells: []string{strconv.Itoa(loss.Decisions), loss.Pattern, loss.Reason, loss.Sample}})
	}
	rules := report.Section{Title: "Rules, for policy.data", Columns: []report.Column{{Name: "decisions", Right: true}, {Name: "rule"}}}
	for i := range p.rules {
		line := routes.Line(p.rules[i].stated)
		if p.rules[i].isNetwork() {
			line = "network: " + line
		}
		rules.Rows = append(rules.Rows, report.Row{Cells: []string{strconv.Itoa(p.rules[i].decisions()), line}})
	}
	d.Sections = []report.Section{difference, rules}
	return d
}

func (p *Proposal) note() string {
	if p.Unproven != "" {
		return "Whether it is wider than the recorded policy is UNPROVEN: " + p.Unproven + "."
	}
	return fmt.Sprintf("Of %d requests that nobody made, near to those that were allowed, the proposal allows none that the recorded policy denies.", p.Supposed)
}

// Configuration is the rules as a part of a configuration file.
func (p *Proposal) Configuration() string { return "policy:\n" + dataText(p.rules, "  ") }

// dataText is rules as data in YAML, a line each.
func dataText(rules []rule, indent string) string {
	lists := map[string]string{}
	for i := range rules {
		name := "routes"
		if rules[i].isNetwork() {
			name = "network"
		}
		lists[name] += indent + "  - " + routes.Line(rules[i].stated) + "\n"
	}
	var out strings.Builder
	out.WriteString(indent + "data:\n")
	for _, name := range []string{"routes", "network"} {
		if lists[name] != "" {
			out.WriteString(indent + "  " + name + ":\n" + lists[name])
		}
	}
	return out.String()
}
