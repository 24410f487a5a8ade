package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"

	"github.com/sallyport/sallyport/pkg/authz"
)

// answerVar is the variable of a query that the answer is bound to.
const answerVar = ast.Var("answer")

// A query asks for the value of a rule. It may be evaluated concurrently.
type query struct {
	compiler ast.QueryCompiler
	body     ast.Body
}

func (s *snapshot) newQuery(rule ast.Ref) (query, error) {
	q := query{compiler: s.compiler.QueryCompiler()}
	body, err := q.compiler.Compile(ast.NewBody(ast.Equality.Expr(ast.NewTerm(rule), ast.NewTerm(answerVar))))
	if err != nil {
		return query{}, fmt.Errorf("policy: compile the query of %v: %w", rule, err)
	}
	q.body = body
	return q, nil
}

// evaluate asks; nil is the answer of an undefined rule. topdown is used rather than the rego
// package, which starts a goroutine for each evaluation and turns the answer into JSON values.
func (s *snapshot) evaluate(ctx context.Context, q query, now time.Time, input *ast.Term, results builtins.NDBCache) (answer *ast.Term, err error) {
	if ctx.Err() != nil {
		return nil, s.tooLate(ctx)
	}
	meter := &meter{ctx: ctx, left: s.limits.maxSteps}
	asked := topdown.NewQuery(q.body).
		WithQueryCompiler(q.compiler).
		WithCompiler(s.compiler).
		WithStore(s.store).
		WithTransaction(s.txn).
		WithInput(input).
		WithTime(now).
		WithCancel(meter).
		WithInterQueryBuiltinCache(s.limits.sends).
		WithInterQueryBuiltinValueCache(s.limits.values).
		WithMetrics(metrics.NoOp()).
		WithStrictBuiltinErrors(true).
		WithNDBuiltinCache(results).
		WithVirtualCache(s.constants.cache())
	err = s.limits.observer.observe(asked).Iter(ctx, func(result topdown.QueryResult) error {
		answer = result[answerVar]
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return nil, s.tooLate(ctx)
	case meter.spent():
		return nil, refuse(authz.PolicyError, "evaluate: %v took more than %d steps", s.entrypoint, s.limits.maxSteps)
	case err != nil:
		return nil, s.failure(err)
	}
	return answer, nil
}
