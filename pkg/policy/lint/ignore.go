package lint

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A directive is a comment that takes findings back:
//
//	# sallyport:ignore non-deterministic the shop is closed at night
//
// on the line of the finding, or on lines of comments right above it.
type directive struct {
	kind string
	at   *ast.Location
	rows []int // that it covers
	used bool
}

const directiveMark = "sallyport:ignore"

// ignores leaves out what directives take back, and adds what is wrong with directives.
func (p *program) ignores(list []Finding) []Finding {
	extra := &findings{seen: map[Finding]bool{}}
	directives := map[string][]*directive{}
	for _, m := range p.modules {
		for _, d := range readDirectives(m, extra) {
			directives[d.at.File] = append(directives[d.at.File], d)
		}
	}
	out := slices.DeleteFunc(slices.Clone(list), func(f Finding) bool {
		for _, d := range directives[f.File] {
			if d.kind == f.Rule && slices.Contains(d.rows, f.Row) {
				d.used = true
				return true
			}
		}
		return false
	})
	for _, ds := range directives {
		for _, d := range ds {
			if !d.used {
				extra.add(unusedIgnore, d.at, "there is no "+d.kind+" to ignore here")
			}
		}
	}
	return append(out, extra.list...)
}

func readDirectives(m *ast.Module, extra *findings) []*directive {
	comments := map[int]bool{}
	for _, c := range m.Comments {
		comments[c.Location.Row] = true
	}
	code := codeRows(m)
	var out []*directive
	for _, c := range m.Comments {
		text, ok := strings.CutPrefix(strings.TrimSpace(string(c.Text)), directiveMark)
		if !ok {
			continue
		}
		kind, reason, _ := strings.Cut(strings.TrimSpace(text), " ")
		switch {
		case mend(kind) == "":
			extra.add(badIgnore, c.Location, "there is no rule \""+kind+"\"")
			continue
		case strings.TrimSpace(reason) == "":
			extra.add(badIgnore, c.Location, "no reason is given")
			continue
		}
		d := &directive{kind: kind, at: c.Location, rows: []int{c.Location.Row}}
		if !code[c.Location.Row] {
			next := c.Location.Row + 1
			for comments[next] && !code[next] {
				next++
			}
			d.rows = append(d.rows, next)
		}
		out = append(out, d)
	}
	return out
}

// codeRows are the lines on which something other than a comment begins.
func codeRows(m *ast.Module) map[int]bool {
	rows := map[int]bool{}
	ast.WalkNodes(m, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.Comment, *ast.Annotations:
			return true
		}
		if at := n.Loc(); at != nil {
			rows[at.Row] = true
		}
		return false
	})
	return rows
}
