package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy"
)

// report writes the results, and is an error where something failed.
func report(out io.Writer, results testResults, flags testFlags) error {
	var err error
	switch flags.format {
	case "json":
		err = reportJSON(out, results)
	case "junit":
		err = reportJUnit(out, results)
	default:
		reportPretty(out, results, flags)
	}
	if err != nil {
		return err
	}
	passed := 0
	for _, t := range results.tests {
		if t.outcome() == "PASS" {
			passed++
		}
	}
	switch {
	case passed < len(results.tests):
		return statusError{status: exitTestFailed}
	case results.coverage != nil && results.coverage.Coverage < flags.threshold:
		return statusError{exitTestFailed, fmt.Sprintf("the coverage is %.2f %%, below the threshold of %.2f %%", results.coverage.Coverage, flags.threshold)}
	}
	return nil
}

func (t testResult) outcome() string {
	switch {
	case t.Error != nil:
		return "ERROR"
	case t.Fail:
		return "FAIL"
	case t.Skip:
		return "SKIPPED"
	}
	return "PASS"
}

// title is the name in full.
func (t testResult) title() string {
	if t.Package == t.Location.File {
		return t.Name
	}
	return t.Package + "." + t.Name
}

// lines tell why a test did not pass.
func (t testResult) lines() []string {
	var out []string
	if t.Error != nil {
		out = append(out, t.Error.Message)
	}
	for _, name := range t.Cases {
		out = append(out, "case "+name)
	}
	if p := t.FailedAt; p != nil {
		out = append(out, fmt.Sprintf("failed at %s:%d: %s", p.File, p.Line, p.Text))
	}
	for _, d := range t.Differences {
		out = append(out, d.String())
	}
	out = append(out, t.Invariant...)
	told := slices.ContainsFunc(t.Differences, func(d casefile.Difference) bool { return d.Field == "detail" })
	if t.Detail != "" && !told {
		out = append(out, "detail of the answer: "+t.Detail)
	}
	return out
}

func reportPretty(out io.Writer, results testResults, flags testFlags) {
	counts := map[string]int{}
	shown := false
	for _, t := range results.tests {
		outcome := t.outcome()
		counts[outcome]++
		if outcome == "PASS" && !flags.verbose {
			continue
		}
		shown = true
		fmt.Fprintf(out, "%s:%d:\n%s: %s (%v)\n", t.Location.File, t.Location.Row, printable(t.title()), outcome, t.Duration)
		for _, line := range t.lines() {
			fmt.Fprintf(out, "  %s\n", printable(line))
		}
		printRules(out, "  ", t.Rules)
		printPrinted(out, "  ", t.Output)
		fmt.Fprintln(out)
	}
	if shown {
		fmt.Fprintln(out, strings.Repeat("-", 80))
	}
	for _, outcome := range []string{"PASS", "FAIL", "SKIPPED", "ERROR"} {
		if counts[outcome] > 0 {
			fmt.Fprintf(out, "%s: %d/%d\n", outcome, counts[outcome], len(results.tests))
		}
	}
	if results.coverage != nil {
		printCoverage(out, *results.coverage)
	}
}

func printPrinted(out io.Writer, indent string, text []byte) {
	if len(text) == 0 {
		return
	}
	fmt.Fprintf(out, "%sprinted:\n", indent)
	for line := range strings.Lines(string(text)) {
		fmt.Fprintf(out, "%s  %s\n", indent, printable(strings.TrimSuffix(line, "\n")))
	}
}

func printCoverage(out io.Writer, c policy.CoverageReport) {
	fmt.Fprintf(out, "COVERAGE: %.1f%% (%d/%d lines)\n", c.Coverage, c.CoveredLines, c.CoveredLines+c.NotCoveredLines)
	for _, name := range c.Names() {
		file := c.Files[name]
		fmt.Fprintf(out, "  %s: %.1f%%", name, file.Coverage)
		if len(file.NotCovered) > 0 {
			missing := make([]string, len(file.NotCovered))
			for i, r := range file.NotCovered {
				missing[i] = r.String()
			}
			fmt.Fprintf(out, ", not covered: %s", strings.Join(missing, ", "))
		}
		fmt.Fprintln(out)
	}
}

// reportJSON writes a list of the tests; with coverage, OPA's report of it, with the list beside.
func reportJSON(out io.Writer, results testResults) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	if results.coverage == nil {
		return encoder.Encode(results.tests)
	}
	return encoder.Encode(struct {
		policy.CoverageReport
		Results []testResult `json:"results"`
	}{*results.coverage, results.tests})
}
