package policy

import (
	"context"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"

	"github.com/sallyport/sallyport/pkg/authz"
)

// An Explanation is a decision and the rules that were tried for it. But for the decision it holds
// names and places of the policy alone, and nothing that a request brought.
type Explanation struct {
	Entrypoint string // the rule that was asked, such as data.envoy.authz.allow
	Decision   authz.Decision
	Rules      []Rule // in the order in which they were first tried
}

// An Outcome is what became of a rule that was tried.
type Outcome string

// The outcomes.
const (
	Fired    Outcome = "fired"    // its body held, once at least
	Failed   Outcome = "failed"   // its body never held
	Constant Outcome = "constant" // it depends on data alone: its value was computed when the policy was loaded
)

// A Rule is one rule of the policy that was tried: one definition, of which a name may have several.
type Rule struct {
	Name    string  `json:"name"` // such as data.envoy.authz.allow
	File    string  `json:"file"`
	Line    int     `json:"line"`
	Default bool    `json:"default,omitempty"`
	Outcome Outcome `json:"outcome"`
	Tried   int     `json:"tried,omitempty"` // how often; a function is tried with each call

	// FailedAt is the expression that did not hold, where the rule failed: of the attempt that came
	// furthest, the last. It is nil where a function's arguments did not match.
	FailedAt *Place `json:"failed_at,omitempty"`
}

// A Place is an expression of the policy.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"` // its first line
}

// Explain decides as Decide does, and tells how the policy came to it. Beside an error, which is that
// of Decide, are the rules that were tried until then.
//
// It evaluates twice: as Decide does, for the decision; then with a tracer and without the index of
// rules, so that rules are tried too which the index leaves out. Both see the same time, and the same
// results of builtins that differ from call to call. Rules that depend on data alone are not tried
// again. The limits are those of Decide, for each evaluation; expect ten times its cost, and memory
// in proportion to the rules of the policy, so keep it off the path of requests. It may be called
// concurrently, and during reloads: it works on one policy from beginning to end.
func (e *Engine) Explain(ctx context.Context, req *authz.Request, id authz.Identity) (Explanation, error) {
	current := e.current.Load()
	if current == nil {
		return Explanation{}, refuse(authz.NotReady, "explain: there is no policy yet")
	}
	out := Explanation{Decision: authz.Decision{Revision: current.revision}}
	s, err := current.choose(req)
	if err != nil {
		return out, err
	}
	out.Entrypoint = s.name
	out.Decision.Entrypoint = s.name
	now, drawn := e.config.Now(), builtins.NDBCache{}
	asked := *s
	asked.memo = nil // which would try no rule
	asked.limits.observer.drawn = drawn
	decision, err := asked.decide(ctx, now, req, id)
	if err == nil {
		out.Decision = decision
		out.Decision.Revision, out.Decision.Entrypoint = current.revision, s.name
	}
	for _, everyRule := range []bool{true, false} {
		seen := newTrace(s.compiler)
		again := asked
		again.constants.seen = seen.constant
		again.limits.observer = observer{tracer: seen, drawn: drawn, everyRule: everyRule}
		_, failure := again.decide(ctx, now, req, id)
		out.Rules = seen.rules
		if (failure == nil) == (err == nil) {
			break
		} // else a rule failed that the index leaves out
	}
	return out, err
}

// A trace notes which rules one evaluation tries. It is a [topdown.QueryTracer].
type trace struct {
	compiler *ast.Compiler
	rules    []Rule
	at       map[*ast.Rule]int // in rules
	known    map[string]bool   // constants that are in rules
	queries  map[uint64]int    // the rule whose body a query evaluates
	furthest map[int]int       // by rule: the index of the expression that FailedAt is
}

func newTrace(compiler *ast.Compiler) *trace {
	return &trace{
		compiler: compiler, at: map[*ast.Rule]int{}, known: map[string]bool{},
		queries: map[uint64]int{}, furthest: map[int]int{},
	}
}

// Enabled implements [topdown.QueryTracer].
func (t *trace) Enabled() bool { return true }

// Config implements [topdown.QueryTracer]. The values of variables are not looked at.
func (t *trace) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent implements [topdown.QueryTracer].
func (t *trace) TraceEvent(event topdown.Event) {
	switch node := event.Node.(type) {
	case *ast.Rule:
		i := t.note(node)
		switch event.Op {
		case topdown.EnterOp:
			t.queries[event.QueryID] = i
			t.rules[i].Tried++
		case topdown.ExitOp:
			t.rules[i].Outcome, t.rules[i].FailedAt = Fired, nil
		}
	case *ast.Expr:
		if i, ok := t.queries[event.QueryID]; ok && event.Op == topdown.FailOp {
			t.failed(i, node)
		}
	}
}

func (t *trace) note(rule *ast.Rule) int {
	if i, ok := t.at[rule]; ok {
		return i
	}
	t.at[rule] = len(t.rules)
	t.rules = append(t.rules, ruleOf(rule, Failed))
	return t.at[rule]
}

func ruleOf(rule *ast.Rule, outcome Outcome) Rule {
	r := Rule{Name: rule.Ref().GroundPrefix().String(), Default: rule.Default, Outcome: outcome}
	if rule.Module != nil {
		r.Name = rule.Module.Package.Path.Extend(rule.Head.Ref().GroundPrefix()).String()
	}
	if rule.Location != nil {
		r.File, r.Line = rule.Location.File, rule.Location.Row
	}
	return r
}

func (t *trace) failed(i int, expr *ast.Expr) {
	at := expr.Location
	if t.rules[i].Outcome == Fired || at == nil || at.File == "" || expr.Index < t.furthest[i] {
		return
	}
	t.furthest[i] = expr.Index
	text, _, _ := strings.Cut(string(at.Text), "\n")
	t.rules[i].FailedAt = &Place{File: at.File, Line: at.Row, Text: strings.TrimSpace(text)}
}

// constant notes that a constant's value was used.
func (t *trace) constant(ref ast.Ref) {
	name := ref.String()
	rules := t.compiler.GetRulesExact(ref)
	if t.known[name] || len(rules) == 0 {
		return
	}
	t.known[name] = true
	t.rules = append(t.rules, ruleOf(rules[0], Constant))
}
