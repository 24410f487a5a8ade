package policy

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// mentions say which expression of a policy reads what of the input, so that an evaluation can be
// watched for reading what nobody knows (see [tripwire]). They follow the rules of [reads], by which
// an expression can read nothing else. What is nested in an expression counts as read by it.
type mentions struct {
	reads  []read
	calls  []string // builtins of which the answers differ from call to call
	by     map[*ast.Expr]*mention
	always mention // what no expression reads
	at     *ast.Expr
}

// A read is of a place of the input.
type read struct {
	path []string
	of   extent
}

// An extent is how much of a place is read.
type extent int

const (
	someOf extent = iota // of an object that it is there, and of any other value all
	allOf
)

// A mention is what one expression reads and calls, by their numbers.
type mention struct{ reads, calls []int }

// findMentions looks at the policy as findReads does.
func (s *snapshot) findMentions() *mentions {
	m := &mentions{by: map[*ast.Expr]*mention{}}
	f := s.newReadFinder()
	f.mentions = m
	f.find()
	return m
}

// enter tells whether an expression is one of a rule's body itself, which begins then.
func (m *mentions) enter(e *ast.Expr) bool {
	if m == nil || m.at != nil {
		return false
	}
	m.at = e
	return true
}

func (m *mentions) leave() { m.at = nil }

// here is what is read by the expression that is looked at.
func (m *mentions) here() *mention {
	if m.at == nil {
		return &m.always
	}
	if m.by[m.at] == nil {
		m.by[m.at] = &mention{}
	}
	return m.by[m.at]
}

func (m *mentions) add(path ast.Ref, of extent) {
	if m == nil {
		return
	}
	r := read{make([]string, len(path)), of}
	for i, key := range path {
		r.path[i] = string(key.Value.(ast.String)) //nolint:forcetypeassert,errcheck // see stringPrefix
	}
	n := slices.IndexFunc(m.reads, func(had read) bool { return had.of == of && slices.Equal(had.path, r.path) })
	if n < 0 {
		n = len(m.reads)
		m.reads = append(m.reads, r)
	}
	here := m.here()
	here.reads = append(here.reads, n)
}

func (m *mentions) call(builtin string) {
	if m == nil {
		return
	}
	n := slices.Index(m.calls, builtin)
	if n < 0 {
		n = len(m.calls)
		m.calls = append(m.calls, builtin)
	}
	here := m.here()
	here.calls = append(here.calls, n)
}

// String is as policies write it.
func (r read) String() string { return strings.Join(append([]string{"input"}, r.path...), ".") }

// A tripwire watches an evaluation for expressions that read what is not known, or call what has no
// answer. OPA tells of every expression before it is evaluated, where rules are not indexed.
type tripwire struct {
	*mentions
	unknown []bool // by read
	barred  []bool // by call
	stop    func()
	tripped *mention
}

// Config implements [topdown.QueryTracer].
func (*tripwire) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// Enabled implements [topdown.QueryTracer].
func (*tripwire) Enabled() bool { return true }

// TraceEvent implements [topdown.QueryTracer].
func (w *tripwire) TraceEvent(event topdown.Event) {
	if event.Op != topdown.EvalOp || w.tripped != nil {
		return
	}
	if e, ok := event.Node.(*ast.Expr); ok && w.by[e] != nil {
		w.touch(w.by[e])
	}
}

func (w *tripwire) touch(m *mention) {
	var hit mention
	for _, n := range m.reads {
		if w.unknown[n] {
			hit.reads = append(hit.reads, n)
		}
	}
	for _, n := range m.calls {
		if w.barred[n] {
			hit.calls = append(hit.calls, n)
		}
	}
	if len(hit.reads)+len(hit.calls) > 0 {
		w.tripped = &hit
		w.stop()
	}
}
