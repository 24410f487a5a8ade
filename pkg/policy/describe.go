package policy

import "slices"

// A Description is what there is to know of the policy that decides now.
type Description struct {
	Revision    string // "" before the first policy
	Modules     int
	Entrypoints []Described // in the order in which they are chosen; the last is for every check
}

// Described is one entrypoint of a policy.
type Described struct {
	Entrypoint
	Name          string   // the rule, such as data.envoy.authz.allow
	Missing       bool     // the policy has no such rule
	Reads         []string // the parts of input that it can read, as paths; "input" is all of it
	Deterministic bool     // it calls no builtin that may answer otherwise another time
	Memo          bool     // its decisions are remembered, and it was not turned off
}

// Describe describes the policy that decides now.
func (e *Engine) Describe() Description {
	current := e.current.Load()
	if current == nil {
		return Description{}
	}
	out := Description{Revision: current.revision, Modules: current.modules}
	for i, c := range current.choices {
		d := Described{Entrypoint: c.Entrypoint, Name: c.ref.String(), Missing: current.snapshots[i] == nil}
		if s := current.snapshots[i]; s != nil {
			d.Reads = s.reads.input.list("input", nil)
			d.Deterministic = s.reads.deterministic
			d.Memo = s.memo != nil && !s.memo.broken.Load()
		}
		out.Entrypoints = append(out.Entrypoints, d)
	}
	return out
}

// list lists what is read below a place, in order.
func (p *part) list(at string, to []string) []string {
	if p.whole || len(p.members) == 0 {
		if at == "input" && !p.whole {
			return to // nothing is read
		}
		return append(to, at)
	}
	for _, m := range p.members {
		to = m.part.list(at+"."+m.name, to)
	}
	return slices.Clip(to)
}
