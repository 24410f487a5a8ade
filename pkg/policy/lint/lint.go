// Package lint finds what lets people in by accident, in policies that compile.
//
//  1. The modules are resolved by OPA's compiler, up to where names are whole and expressions are
//     still as they were written (program.go).
//  2. The rules are walked from the entrypoints, with a sign (walk.go, call.go, ruleset.go): what
//     must hold for an allow is positive; what must hold for a denial is negative, whether it stands
//     behind "not", behind count(deny) == 0, or in a rule whose value is false.
//  3. Where something negative cannot be evaluated because the request lacks it, the denial does
//     not happen: that is a finding (missing.go), unless something else makes sure that it is
//     there (facts.go).
//  4. On the way each expression is looked at for what a client can choose: identities (identity.go,
//     token.go), spellings of paths, methods and hosts (path.go, method.go), lists (every.go).
//  5. Rules that nothing reaches, and builtins that answer differently each time, are found in the
//     graph (reach.go).
//  6. Comments that begin with "sallyport:ignore" take findings back, each with its reason (ignore.go).
//
// # What is known of the input
//
// An HTTP check always has a method, a path, a host, a scheme and parsed_path; a configured token
// always has a status; a token that is valid has claims with iss, aud and exp. Everything else under
// input may be missing. What lies in data is the operator's and means what it says.
//
// # What is not seen
//
// The linter reads the text of the policy and no values. It does not see through values in data
// that say which rule applies, through "with", nor through builtins other than those it names. Where
// rules are used in very many ways, it looks at the first of them alone.
package lint

import (
	"cmp"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/policy"
)

// A Finding is one place that may let somebody in.
type Finding struct {
	Rule    string `json:"rule"` // the id of a Kind
	File    string `json:"file"`
	Row     int    `json:"row"`
	Col     int    `json:"col"`
	Message string `json:"message"` // what is wrong
	Mend    string `json:"mend"`    // the way out
}

// Run lints the policy of a reading. Its error is that of a policy that does not compile.
func Run(r *policy.Reading) ([]Finding, error) {
	p, err := resolve(r)
	if err != nil {
		return nil, err
	}
	found := &findings{seen: map[Finding]bool{}}
	w := newWalker(p, found)
	for _, entrypoint := range p.roots {
		w.decision(entrypoint)
	}
	w.tokens.report(found)
	p.checkReach(found)
	p.checkDeterminism(found)
	out := p.ignores(found.list)
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Row, b.Row), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Rule, b.Rule))
	})
	return out, nil
}

// findings are collected once for each place and kind.
type findings struct {
	list []Finding
	seen map[Finding]bool
}

func (f *findings) add(kind string, at *ast.Location, message string) {
	if at == nil {
		return
	}
	place := Finding{Rule: kind, File: at.File, Row: at.Row, Col: at.Col}
	if f.seen[place] {
		return
	}
	f.seen[place] = true
	place.Message, place.Mend = message, mend(kind)
	f.list = append(f.list, place)
}
