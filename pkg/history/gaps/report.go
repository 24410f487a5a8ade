package gaps

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Report is what was found. Its JSON is described in deploy/zero-trust.md.
type Report struct {
	Decisions int            `json:"decisions"`
	Allowed   int            `json:"allowed"`
	Denied    int            `json:"denied"`
	From      time.Time      `json:"from"`
	To        time.Time      `json:"to"`
	Revisions map[string]int `json:"revisions"` // decisions of each policy
	Gaps      []Gap          `json:"gaps"`      // by score, the highest first
	Matrix    Matrix         `json:"matrix"`
	Unknown   []string       `json:"unknown"` // what could not be looked at, and why
}

// A Matrix says who reaches what: those with the most decisions, at most 200 principals and 100 patterns.
type Matrix struct {
	Principals []Total `json:"principals"`
	Patterns   []Total `json:"patterns"`
	Cells      []Cell  `json:"cells"` // those that are not empty
}

// A Total is a line of the matrix.
type Total struct {
	Name      string `json:"name"`
	Decisions int    `json:"decisions"`
}

// A Cell is what one principal did on one pattern.
type Cell struct {
	Principal string `json:"principal"`
	Pattern   string `json:"pattern"`
	Allowed   int    `json:"allowed"`
	Denied    int    `json:"denied"`
	Unused    bool   `json:"unused,omitempty"` // it was never allowed, and the policy at hand would
	Sample    string `json:"sample,omitempty"` // a decision's id
}

// unknown says what the record, or we, cannot know.
func (f *Finder) unknown(p *privileges) []string {
	var out []string
	say := func(n int, format string, args ...any) {
		if n > 0 {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	l := &f.lack
	say(l.lifetime, "Of %d of %d valid tokens the record has no iat or no exp, so their lifetime is not known: keep both (decisionLog.keep.claims).", l.lifetime, l.valid)
	say(l.audience, "Of %d of %d valid tokens the record has no aud: keep it (decisionLog.keep.claims).", l.audience, l.valid)
	say(l.grant, "Of %d of %d valid tokens the record has no scope, scp, roles or groups: the tokens have none, or the claims are not kept (decisionLog.keep.claims).", l.grant, l.valid)
	say(l.algorithm, "Of %d of %d valid tokens the record has no algorithm.", l.algorithm, l.valid)
	out = append(out, "The size of a signing key, the strength of a client's TLS, and whether a token is bound to its sender are not in the record.")
	if f.config.Policy == nil {
		out = append(out, "Without --config nobody knows which rules there are, what a grant is needed for, and what a principal could reach.")
	} else {
		out = append(out, f.unknownPolicy(p)...)
	}
	if named := f.unnamed(); len(named) > 0 {
		out = append(out, fmt.Sprintf("The policy behind %s names no rule in dynamic_metadata (rule), so what its default decided is not known.", strings.Join(named, ", ")))
	}
	for kind, book := range f.hits {
		say(book.spilled, "There was room for %d subjects of %q; %d decisions of others are not listed.", maxSubjects, words[kind], book.spilled)
	}
	say(f.pairs.spilled, "There was room for %d principals, %d patterns and %d pairs of them; %d decisions are not in the matrix.", maxPrincipals, maxPatterns, maxPairs, f.pairs.spilled)
	return out
}

// unknownPolicy says how far the policy at hand can be believed.
func (f *Finder) unknownPolicy(p *privileges) []string {
	var out []string
	ours := 0
	if n := f.revisions.entries[f.config.Policy.Revision]; n != nil {
		ours = *n
	}
	asked := 0
	for _, n := range f.revisions.entries {
		asked += *n
	}
	if ours < asked {
		out = append(out, fmt.Sprintf("%d of %d decisions were made by another revision than that of --config (%s).", asked-ours, asked, f.config.Policy.Revision))
	}
	if p.unlike > 0 {
		out = append(out, fmt.Sprintf("The policy at hand denies %d of %d samples that the record has as allowed, so their grants are left out: it is another policy, or the record lacks what it reads.", p.unlike, p.unlike+p.like))
	}
	return append(out, "Who could reach what was asked with one recorded request for each pattern and one identity for each principal.")
}

// unnamed are the entrypoints whose policies do not name rules.
func (f *Finder) unnamed() []string {
	if f.hits[ByDefault] == nil {
		return nil
	}
	found := map[string]bool{}
	for m := range f.hits[ByDefault].entries {
		if !m.detail.undefined && !f.names(m.detail.entrypoint) {
			found[m.detail.entrypoint] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
