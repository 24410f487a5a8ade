package policy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/util"
)

// Coverage notes which lines of a policy are evaluated, by checks ([Config.Coverage]) and by Rego
// tests ([Test]), which may share one at the same time. Make it with NewCoverage.
type Coverage struct{ cover *cover.Cover }

// NewCoverage makes one that has seen nothing.
func NewCoverage() *Coverage { return &Coverage{cover: cover.New()} }

// A CoverageReport has the lines of a policy that were evaluated and those that were not, in the form
// of "opa test --coverage". Lines that cannot be evaluated, such as imports, are neither.
type CoverageReport struct {
	Files           map[string]FileCoverage `json:"files"`
	CoveredLines    int                     `json:"covered_lines"`
	NotCoveredLines int                     `json:"not_covered_lines"`
	Coverage        float64                 `json:"coverage"` // in percent
}

// FileCoverage is the part of one file.
type FileCoverage struct {
	Covered         []LineRange `json:"covered,omitempty"`
	NotCovered      []LineRange `json:"not_covered,omitempty"`
	CoveredLines    int         `json:"covered_lines,omitempty"`
	NotCoveredLines int         `json:"not_covered_lines,omitempty"`
	Coverage        float64     `json:"coverage,omitempty"`
}

// A LineRange is lines, both ends included.
type LineRange struct {
	Start Row `json:"start"`
	End   Row `json:"end"`
}

// A Row is a line, from 1.
type Row struct {
	Row int `json:"row"`
}

// Report tells of the policy that config describes, without its tests.
func (c *Coverage) Report(config Config) (CoverageReport, error) {
	capabilities, err := config.Capabilities.OPA()
	if err != nil {
		return CoverageReport{}, err
	}
	src, err := readSource(config, capabilities)
	if err != nil {
		return CoverageReport{}, err
	}
	// A line counts as covered if any expression on it was evaluated in full, and no other was not.
	out := CoverageReport{Files: map[string]FileCoverage{}}
	for name, file := range c.cover.Report(src.modules).Files {
		module, ok := src.modules[name]
		if !ok {
			continue // a test
		}
		missing := rows(file.NotCovered)
		f := FileCoverage{NotCovered: ranges(missing), NotCoveredLines: len(missing)}
		covered := evaluable(module)
		maps.DeleteFunc(covered, func(row int, _ bool) bool { return missing[row] })
		f.Covered, f.CoveredLines = ranges(covered), len(covered)
		f.Coverage = percent(f.CoveredLines, f.NotCoveredLines)
		out.CoveredLines += f.CoveredLines
		out.NotCoveredLines += f.NotCoveredLines
		out.Files[name] = f
	}
	out.Coverage = percent(out.CoveredLines, out.NotCoveredLines)
	return out, nil
}

// evaluable are the lines on which a rule's head or an expression begins.
func evaluable(module *ast.Module) map[int]bool {
	found := map[int]bool{}
	ast.WalkRules(module, func(rule *ast.Rule) bool {
		found[rule.Head.Location.Row] = true
		return false
	})
	ast.WalkExprs(module, func(expr *ast.Expr) bool {
		if _, declares := expr.Terms.(*ast.SomeDecl); !declares && expr.Location != nil {
			found[expr.Location.Row] = true
		}
		return false
	})
	return found
}

// rows are the lines on which ranges begin: what is nested in an expression has a range of its own.
func rows(in []cover.Range) map[int]bool {
	found := map[int]bool{}
	for _, r := range in {
		found[r.Start.Row] = true
	}
	return found
}

func ranges(lines map[int]bool) []LineRange {
	var out []LineRange
	for _, row := range slices.Sorted(maps.Keys(lines)) {
		if n := len(out); n > 0 && out[n-1].End.Row == row-1 {
			out[n-1].End.Row = row
			continue
		}
		out = append(out, LineRange{Start: Row{row}, End: Row{row}})
	}
	return out
}

func percent(covered, missing int) float64 {
	if covered+missing == 0 {
		return 100
	}
	return 100 * float64(covered) / float64(covered+missing)
}

// Names are the report's files, sorted.
func (r CoverageReport) Names() []string { return util.KeysSorted(r.Files) }

func (r LineRange) String() string {
	if r.Start == r.End {
		return fmt.Sprint(r.Start.Row)
	}
	return fmt.Sprintf("%d-%d", r.Start.Row, r.End.Row)
}
