package replay

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/report"
)

// Document is the result for people, with at most so many groups a verdict; 0: all.
func (r *Result) Document(most int) *report.Document {
	d := &report.Document{Title: "What the candidate would change", Lead: r.lead(), Facts: r.facts(), Note: r.note()}
	if r.Unfit != "" {
		d.Title = "The log is unfit for a replay"
		d.Sections = append(d.Sections, r.mismatches())
		return d
	}
	for _, verdict := range verdicts() {
		if r.of(verdict) > 0 {
			d.Sections = append(d.Sections, r.section(verdict, most))
		}
	}
	return d
}

// of is how many decisions have a verdict.
func (r *Result) of(verdict Verdict) int64 {
	switch verdict {
	case authz.NewlyAllowed:
		return r.NewlyAllowed
	case authz.NewlyDenied:
		return r.NewlyDenied
	case authz.Changed:
		return r.Changed
	case CannotTell:
		return r.Undecided
	}
	return r.Same
}

// lead is the finding.
func (r *Result) lead() string {
	switch {
	case r.Unfit != "":
		return "Nothing can be concluded: " + r.Unfit + "."
	case r.Replayed == 0:
		return "No policy made a decision in this log, so there is nothing to replay."
	case r.Same == r.Replayed:
		return "Nothing: of " + number(r.Replayed) + " decisions, all would be the same."
	}
	var parts []string
	for _, verdict := range verdicts() {
		if n := r.of(verdict); n > 0 {
			parts = append(parts, number(n)+" "+label(verdict))
		}
	}
	return fmt.Sprintf("Of %s decisions: %s. The others would be the same.", number(r.Replayed), strings.Join(parts, ", "))
}

// label is a verdict in words.
func label(verdict Verdict) string { return strings.ReplaceAll(string(verdict), "_", " ") }

func (r *Result) facts() []report.Fact {
	facts := []report.Fact{{Name: "decisions in the log", Value: number(r.Decisions)}}
	if !r.First.IsZero() {
		facts = append(facts, report.Fact{Name: "from", Value: stamp(r.First) + " to " + stamp(r.Last)})
	}
	if n := r.Decisions - r.Replayed; n > 0 {
		facts = append(facts, report.Fact{Name: "not the policy's", Value: number(n) + ": " + r.apartInWords(), Tone: report.Muted})
	}
	facts = append(facts, r.proofFact())
	for _, rev := range r.Revisions {
		if r.Proof != nil && !rev.Covered {
			facts = append(facts, report.Fact{
				Name: "not covered by it", Value: fmt.Sprintf("%s of revision %s", number(rev.Decisions), rev.Revision), Tone: report.Warning,
			})
		}
	}
	if r.Unfit != "" {
		return facts
	}
	for _, verdict := range verdicts() {
		n := r.of(verdict)
		f := report.Fact{Name: label(verdict), Value: number(n)}
		if n > 0 {
			f.Value, f.Tone = f.Value+", "+r.percent(n), tone(verdict)
		}
		facts = append(facts, f)
	}
	return append(facts, report.Fact{Name: "the same", Value: number(r.Same) + ", " + r.percent(r.Same)})
}

func (r *Result) apartInWords() string {
	reasons := slices.SortedFunc(maps.Keys(r.Apart), func(one, other authz.Reason) int {
		return cmp.Or(cmp.Compare(r.Apart[other], r.Apart[one]), cmp.Compare(one, other))
	})
	parts := make([]string, len(reasons))
	for i, reason := range reasons {
		parts[i] = number(r.Apart[reason]) + " " + string(reason)
	}
	return strings.Join(parts, ", ")
}

func (r *Result) proofFact() report.Fact {
	if r.Proof == nil {
		return report.Fact{Name: "proof", Value: "not made: the recorded policy was not given", Tone: report.Warning}
	}
	f := report.Fact{Name: "proof", Tone: report.Good, Value: fmt.Sprintf("the recorded policy %s makes %s decisions again as recorded",
		strings.Join(r.Proof.Revisions, ", "), number(r.Proof.Reproduced))}
	if n := r.Proof.Unproved; n > 0 {
		f.Value += fmt.Sprintf("; of %s the record has not all that it read", number(n))
	}
	if n := r.Proof.Differing; n > 0 {
		f.Value, f.Tone = f.Value+fmt.Sprintf(", and otherwise than recorded: %s", number(n)), report.Danger
	}
	return f
}

func (r *Result) percent(n int64) string { return percent(float64(n) / float64(max(r.Replayed, 1))) }

func percent(share float64) string {
	if share > 0 && share < 0.0005 {
		return "<0.1 %"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

func tone(verdict Verdict) report.Tone {
	switch verdict {
	case authz.NewlyAllowed:
		return report.Danger
	case authz.NewlyDenied, CannotTell:
		return report.Warning
	}
	return report.Plain
}

func (r *Result) section(verdict Verdict, most int) report.Section {
	s := report.Section{Columns: []report.Column{
		{Name: "route"}, {Name: "principal"}, {Name: what(verdict)}, {Name: "count", Right: true}, {Name: "share", Right: true},
	}}
	shown, left, leftGroups := int64(0), r.Beyond[verdict], 0
	for i := range r.Groups {
		g := &r.Groups[i]
		switch {
		case g.Verdict != verdict:
		case most > 0 && len(s.Rows) >= most:
			left += g.Count
			leftGroups++
		default:
			shown += g.Count
			s.Rows = append(s.Rows, g.row())
		}
	}
	s.Title = fmt.Sprintf("%s: %s", title(verdict), number(shown+left))
	s.Note = r.advice(verdict)
	switch {
	case r.Beyond[verdict] > 0:
		s.Note += fmt.Sprintf(" And %s more decisions, in so many groups that not all are kept apart.", number(left))
	case left > 0:
		s.Note += fmt.Sprintf(" And %s more groups with %s decisions: --groups 0 shows all.", number(int64(leftGroups)), number(left))
	}
	return s
}

func what(verdict Verdict) string {
	switch verdict {
	case authz.Changed:
		return "what changes"
	case CannotTell:
		return "what the record lacks"
	}
	return "rule"
}

func title(verdict Verdict) string {
	text := label(verdict)
	return strings.ToUpper(text[:1]) + text[1:]
}

// advice says what a verdict means, or what to do.
func (r *Result) advice(verdict Verdict) string {
	switch verdict {
	case authz.NewlyAllowed:
		return "Denied then, and let in by the candidate: each of these may be a breach."
	case authz.NewlyDenied:
		return "Allowed then, and turned away by the candidate: each of these may be an outage."
	case authz.Changed:
		return "Allowed or denied as before, with another status or other headers."
	}
	text := "The candidate reads what these records do not have, so nobody can tell. "
	if r.Proof == nil {
		text += "Give the recorded policy with --recorded: by what it reads is known what was not on a request. "
	}
	return text + "Record with decisionLog.keep.input: all for a while, which keeps what no policy reads yet, and replay that; " +
		"credentials are never recorded, and of claims and bodies what decisionLog.keep names."
}

func (g *Group) row() report.Row {
	row := report.Row{Tone: tone(g.Verdict), Cells: []string{g.Pattern, g.Principal, g.cause(), number(g.Count), percent(g.Share)}}
	s := &g.Sample
	lines := []string{fmt.Sprintf("%s  %s  %s %s%s  %s", s.ID, stamp(s.Time), s.Method, s.Host, s.Path, s.Principal)}
	lines = append(lines, "before: "+g.Before.words(s.DetailBefore))
	if g.After != nil {
		lines = append(lines, "after:  "+g.After.words(s.DetailAfter))
	}
	lines = append(lines, "more:   sallyport why "+s.ID)
	row.Detail = strings.Join(lines, "\n")
	return row
}

// cause is the rule that decides otherwise, what changes, or what is missing.
func (g *Group) cause() string {
	switch {
	case g.Undecided != nil:
		return g.Undecided.Error()
	case g.Verdict == authz.Changed:
		return strings.Join(g.Effects, ", ")
	case g.Before.Rule != "" && g.After.Rule != "" && g.Before.Rule != g.After.Rule:
		return g.Before.Rule + " → " + g.After.Rule
	}
	return cmp.Or(g.After.Rule, g.Before.Rule, "-")
}

func (o *Outcome) words(detail string) string {
	text := string(o.Reason)
	if o.Status != 0 {
		text += " " + strconv.Itoa(o.Status)
	}
	if o.Rule != "" {
		text += " by " + o.Rule
	}
	if detail != "" {
		text += ": " + detail
	}
	return text
}

// mismatches shows the records that their own policy does not confirm.
func (r *Result) mismatches() report.Section {
	s := report.Section{Title: "What speaks against it", Columns: []report.Column{{Name: "record"}, {Name: "decision"}, {Name: "what differs"}}}
	for i := range r.Proof.First {
		m := &r.Proof.First[i]
		s.Rows = append(s.Rows, report.Row{Tone: report.Danger, Cells: []string{m.Place, m.ID, m.What},
			Detail: fmt.Sprintf("%s  %s %s%s  %s", stamp(m.Time), m.Method, m.Host, m.Path, m.Principal)})
	}
	if n := r.Proof.Differing - int64(len(r.Proof.First)); n > 0 {
		s.Note = "And " + number(n) + " more, later ones."
	}
	if r.Proof.Differing == 0 {
		s.Note = "Give the policy that made these records with --recorded, in the version of Sallyport that made them."
		for _, rev := range r.Revisions {
			s.Rows = append(s.Rows, report.Row{Cells: []string{"-", number(rev.Decisions), "are of revision " + rev.Revision}})
		}
	}
	return s
}

func (r *Result) note() string {
	text := "Replayed is the policy alone, at the recorded time: the tokens are as they were verified then. " +
		"What no policy decided, such as a refused token, would be the same."
	if r.Proof == nil && r.Unfit == "" {
		text += " Without the recorded policy (--recorded) nothing shows that the log is sound; headers that only the recorded policy set, " +
			"and bodies, are not compared; and what a record does not have is unknown, even where the recorded policy looked for it."
	}
	if r.Torn > 0 {
		text += fmt.Sprintf(" The last line of %d files was cut off, and is left out.", r.Torn)
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// number has commas between thousands.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
