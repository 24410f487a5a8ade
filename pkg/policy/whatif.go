package policy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/sallyport/sallyport/pkg/authz"
)

const (
	// whatIfTime bounds a partial evaluation: it can take exponential time, and an operator waits.
	whatIfTime = time.Second

	// whatIfMost is how many conditions are worth reading.
	whatIfMost = 10

	// whatIfDepth bounds rules within rules in what is left of a policy.
	whatIfDepth = 4
)

// WhatIf tells what would have allowed a request: conditions on its tokens, each of which would have
// been enough, the shortest first, such as `roles contained "admin"`. What already holds of the
// identity is left out of them. It finds them by partial evaluation: the request is known, and
// input.tokens is not. What it cannot put into words it gives in Rego.
//
// None is no proof that nothing would have helped: a policy that looks its rules up in data may leave
// partial evaluation nothing that can be read, and one that takes over a second is given up.
//
// Constants stand in a condition only where the policy, its data or the request's method, host and
// path have them, and never under a secret's name; so nothing of another part of the request does.
// It costs far more than a decision; keep it off the path of requests.
func (e *Engine) WhatIf(ctx context.Context, req *authz.Request, id authz.Identity) ([]string, error) {
	current := e.current.Load()
	if current == nil {
		return nil, refuse(authz.NotReady, "what if: there is no policy yet")
	}
	s, err := current.choose(req)
	if err != nil {
		return nil, err
	}
	in := s.limits.sheet()
	defer s.limits.done(in)
	if err := (writer{in, s.limits.asides, s.bodies}).input(&s.reads.input, req, id); err != nil {
		return nil, err
	}
	input, err := in.document(s.names)
	if err != nil {
		return nil, refuse(authz.Internal, "read input: a value of no JSON type")
	}
	ctx, cancel := context.WithTimeout(ctx, whatIfTime)
	defer cancel()
	w := &whatIf{snapshot: s, now: e.config.Now(), input: input, words: newWording(s, req, id)}
	if err := w.run(ctx); err != nil {
		return nil, err
	}
	return w.shortest(), nil
}

// A whatIf is one question.
type whatIf struct {
	*snapshot
	now   time.Time
	input *ast.Term
	words *wording
	rules []*ast.Rule // that partial evaluation made
	found []string
}

// run asks for true, and for an object with allowed: true.
func (w *whatIf) run(ctx context.Context) error {
	for _, ref := range []ast.Ref{w.entrypoint, w.entrypoint.Append(ast.StringTerm("allowed"))} {
		bodies, err := w.partial(ctx, ast.Equality.Expr(ast.NewTerm(ref), ast.BooleanTerm(true)))
		if err != nil {
			return err
		}
		for _, body := range bodies {
			for _, flat := range w.flatten(body, whatIfDepth) {
				w.add(ctx, flat)
			}
		}
	}
	return nil
}

// partial evaluates with the tokens unknown: what is left has to hold.
func (w *whatIf) partial(ctx context.Context, asked *ast.Expr) ([]ast.Body, error) {
	meter := &meter{ctx: ctx, left: w.limits.maxSteps}
	bodies, support, err := w.asking(ast.NewBody(asked), meter).
		WithUnknowns([]*ast.Term{ast.MustParseTerm("input.tokens")}).
		PartialRun(ctx)
	switch {
	case ctx.Err() != nil || meter.spent():
		return nil, errors.New("policy: what if: partial evaluation took too long")
	case err != nil:
		return nil, w.failure(err)
	}
	for _, module := range support {
		w.rules = append(w.rules, module.Rules...)
	}
	return bodies, nil
}

func (w *whatIf) asking(body ast.Body, meter *meter) *topdown.Query {
	return topdown.NewQuery(body).
		WithCompiler(w.compiler).
		WithStore(w.store).
		WithTransaction(w.txn).
		WithInput(w.input).
		WithTime(w.now).
		WithCancel(meter).
		WithInterQueryBuiltinCache(w.limits.sends).
		WithInterQueryBuiltinValueCache(w.limits.values).
		WithStrictBuiltinErrors(true)
}

// flatten puts the bodies of rules that partial evaluation made in the place of their names. Nothing
// comes of what it cannot replace.
func (w *whatIf) flatten(body ast.Body, depth int) []ast.Body {
	out := []ast.Body{{}}
	for _, expr := range body {
		ref := madeRef(expr)
		choices := []ast.Body{{expr}}
		if ref != nil && !expr.Negated {
			choices = w.choices(ref, depth)
		}
		var longer []ast.Body
		for _, begun := range out {
			for _, choice := range choices {
				if len(longer) < 100*whatIfMost { // two rules of a hundred bodies each are 10,000
					longer = append(longer, slices.Concat(begun, choice))
				}
			}
		}
		out = longer
	}
	return out
}

// choices are the bodies that make a reference true.
func (w *whatIf) choices(ref ast.Ref, depth int) []ast.Body {
	if depth == 0 {
		return nil
	}
	var out []ast.Body
	for _, rule := range w.rules {
		name := rule.Module.Package.Path.Extend(rule.Head.Ref())
		if rule.Default || !ref.HasPrefix(name) {
			continue
		}
		value := member1(rule.Head.Value, ref[len(name):])
		if value == nil {
			continue
		}
		body := rule.Body
		if isTrue, known := value.Value.(ast.Boolean); known && !bool(isTrue) {
			continue
		} else if !known {
			body = slices.Concat(body, ast.NewBody(ast.Equality.Expr(value, ast.BooleanTerm(true))))
		}
		out = append(out, w.flatten(body, depth-1)...)
	}
	return out
}

// member1 is what a path leads to in the value of a rule; nil where that is not seen.
func member1(value *ast.Term, path ast.Ref) *ast.Term {
	for _, key := range path {
		object, ok := value.Value.(ast.Object)
		if !ok {
			return nil
		}
		if value = object.Get(key); value == nil {
			return nil
		}
	}
	return value
}

// madeRef is the reference to a rule that partial evaluation made, where an expression asks whether it
// is true; nil where it does something else.
func madeRef(expr *ast.Expr) ast.Ref {
	term, ok := expr.Terms.(*ast.Term)
	if !ok {
		if !expr.IsEquality() {
			return nil
		}
		a, b := expr.Operand(0), expr.Operand(1)
		if a.Equal(ast.BooleanTerm(true)) {
			a, b = b, a
		}
		if !b.Equal(ast.BooleanTerm(true)) {
			return nil
		}
		term = a
	}
	ref, ok := term.Value.(ast.Ref)
	if !ok || !ref.HasPrefix(ast.MustParseRef("data.partial")) {
		return nil
	}
	return ref
}

// add puts one way to be allowed into words, without what holds already.
func (w *whatIf) add(ctx context.Context, body ast.Body) {
	var open, texts []string
	var bound ast.Body
	for _, expr := range body {
		switch {
		case madeRef(expr) != nil: // negated
			if text, holds := w.none(ctx, madeRef(expr)); !holds {
				open = append(open, text)
			}
		case len(freeVars(expr)) > 0:
			bound = append(bound, expr)
		case !w.holds(ctx, ast.Body{expr}):
			open = append(open, w.words.body(ast.Body{expr})...)
		}
	}
	if len(bound) > 0 && !w.holds(ctx, bound) {
		texts = w.words.body(bound)
	}
	texts = append(open, texts...) //nolint:gocritic // conditions without variables come first
	if len(texts) > 0 {
		slices.Sort(texts)
		w.found = append(w.found, strings.Join(slices.Compact(texts), " and "))
	}
}

// none says that no body of a rule may hold, and whether that is so.
func (w *whatIf) none(ctx context.Context, ref ast.Ref) (text string, holds bool) {
	holds = true
	var ways []string
	for _, body := range w.choices(ref, whatIfDepth) {
		holds = holds && !w.holds(ctx, body)
		ways = append(ways, strings.Join(w.words.body(body), " and "))
	}
	return "not (" + strings.Join(ways, " or ") + ")", holds
}

// holds tells whether conditions hold of the identity as it is. What cannot be evaluated does not.
func (w *whatIf) holds(ctx context.Context, body ast.Body) bool {
	compiler := w.compiler.QueryCompiler()
	compiled, err := compiler.Compile(ast.NewBody(body.Copy()...))
	if err != nil {
		return false
	}
	held := false
	meter := &meter{ctx: ctx, left: w.limits.maxSteps}
	err = w.asking(compiled, meter).WithQueryCompiler(compiler).Iter(ctx, func(topdown.QueryResult) error {
		held = true
		return nil
	})
	return err == nil && held && !meter.spent() && ctx.Err() == nil
}

func freeVars(expr *ast.Expr) ast.VarSet {
	vars := expr.Vars(ast.VarVisitorParams{SkipRefHead: true, SkipRefCallHead: true, SkipClosures: true})
	return vars
}

// shortest sorts what was found, each once.
func (w *whatIf) shortest() []string {
	slices.SortFunc(w.found, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	w.found = slices.Compact(w.found)
	return w.found[:min(len(w.found), whatIfMost)]
}
