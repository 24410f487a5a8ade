package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	docs "github.com/sallyport/sallyport/pkg/report"
	decisionv1 "github.com/sallyport/sallyport/proto/sallyport/decision/v1"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// statusDocument is what became of a candidate, for people.
func statusDocument(s *inspectv1.StatusResponse) *docs.Document {
	d := &docs.Document{Title: "Candidate policy: " + cmp.Or(s.GetState(), "none"), Lead: statusLead(s)}
	if s.GetState() == "" {
		return d
	}
	d.Facts = statusFacts(s)
	if groups := s.GetGroups(); len(groups) > 0 {
		section := docs.Section{Title: "Differences", Columns: []docs.Column{
			{Name: "would be"}, {Name: "count", Right: true}, {Name: "route"}, {Name: "rule"}, {Name: "reason"}, {Name: "sample"},
		}}
		for _, g := range groups {
			section.Rows = append(section.Rows, differenceRow(g))
		}
		if n := s.GetUngrouped(); n > 0 {
			section.Note = fmt.Sprintf("%d more are in too many groups to show", n)
		}
		d.Sections = []docs.Section{section}
		d.Note = "sallyport why SAMPLE explains a decision; candidate.verdict in the decision log finds all of them."
	}
	return d
}

// statusLead is the finding in a sentence.
func statusLead(s *inspectv1.StatusResponse) string {
	switch {
	case s.GetState() == "":
		return "The configuration file has no policy.candidate."
	case s.GetState() == candidatePromoted:
		return "It decides since " + s.GetPromotedAt().AsTime().Format(time.RFC3339) + ", and a restart ends that: " + s.GetToDo() + "."
	case s.GetMissing() != "":
		return "Not to be promoted: " + missing(s) + "."
	}
	return "It may be promoted."
}

func statusFacts(s *inspectv1.StatusResponse) []docs.Fact {
	since := ""
	if at := s.GetSince(); at != nil {
		since = fmt.Sprintf(" since %s (%s)", at.AsTime().Format(time.RFC3339), inWords(time.Since(at.AsTime())))
	}
	counted := func(name string, n uint64, tone docs.Tone) docs.Fact {
		if n == 0 {
			tone = docs.Good
		}
		return docs.Fact{Name: name, Value: fmt.Sprint(n), Tone: tone}
	}
	return []docs.Fact{
		{Name: "decides", Value: cmp.Or(s.GetLiveRevision(), "nothing yet")},
		{Name: "candidate", Value: cmp.Or(s.GetCandidateRevision(), "nothing yet")},
		{Name: "compared", Value: fmt.Sprintf("%d of %d%s", s.GetCompared(), s.GetWantedDecisions(), since)},
		{Name: "sample", Value: fmt.Sprintf("%g%% of the checks, of which %d were dropped", 100*s.GetSample(), s.GetDropped())},
		counted("newly allowed", s.GetNewlyAllowed(), docs.Danger),
		counted("newly denied", s.GetNewlyDenied(), docs.Warning),
		counted("changed", s.GetChanged(), docs.Plain),
		counted("failed", s.GetFailed(), docs.Warning),
		{Name: "differences", Value: fmt.Sprintf("%d, at most %d may", s.GetDifferences(), s.GetMaxDifferences())},
	}
}

func differenceRow(g *inspectv1.DifferenceGroup) docs.Row {
	row := docs.Row{Tone: verdictTone(g.GetVerdict()), Cells: []string{
		strings.ReplaceAll(g.GetVerdict(), "_", " "), fmt.Sprint(g.GetCount()), g.GetRoute(), g.GetRule(),
		g.GetReason() + " → " + g.GetCandidateReason(), g.GetSampleDecisionId(),
	}}
	if g.GetEffects() != "" {
		row.Detail = "other: " + g.GetEffects()
	}
	return row
}

func verdictTone(verdict string) docs.Tone {
	switch authz.Verdict(verdict) {
	case authz.NewlyAllowed:
		return docs.Danger
	case authz.NewlyDenied, authz.Same: // the same where the candidate failed
		return docs.Warning
	}
	return docs.Plain
}

// differenceLine writes a difference for the eye: when, how it differs, what was asked, why, and the
// decision's id.
func differenceLine(out io.Writer, inks map[bool]string) func(*decisionv1.Decision) error {
	end := ""
	if len(inks) > 0 {
		end = "\x1b[0m"
	}
	return func(d *decisionv1.Decision) error {
		c := d.GetCandidate()
		request := strings.TrimSpace(d.GetMethod() + " " + d.GetHost() + d.GetPath())
		why := c.GetReason()
		if detail := cmp.Or(c.GetDetail(), strings.Join(c.GetEffects(), ", ")); detail != "" {
			why += " (" + detail + ")"
		}
		ink := ""
		if c.GetVerdict() != string(authz.Changed) { // what is let in is what alarms
			ink = inks[c.GetVerdict() != string(authz.NewlyAllowed)]
		}
		_, err := fmt.Fprintf(out, "%s %s%-13s%s %s %s → %s %s\n", d.GetTimestamp().AsTime().Local().Format("15:04:05.000"),
			ink, strings.ReplaceAll(c.GetVerdict(), "_", " "), end, printable(request), d.GetReason(), printable(why), d.GetDecisionId())
		return err
	}
}
