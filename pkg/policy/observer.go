package policy

import (
	"io"

	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// An observer looks on while the policy is evaluated. The zero value does not.
type observer struct {
	tracer   topdown.QueryTracer
	coverage *Coverage
	print    io.Writer         // of print()
	drawn    builtins.NDBCache // results of builtins that differ from call to call, shared by evaluations

	// everyRule has rules tried too of which the index knows that they do not hold.
	everyRule bool
}

func (o observer) observe(q *topdown.Query) *topdown.Query {
	if o.tracer != nil {
		q = q.WithQueryTracer(o.tracer)
	}
	if o.coverage != nil {
		q = q.WithQueryTracer(o.coverage.cover)
	}
	if o.print != nil {
		q = q.WithPrintHook(topdown.NewPrintHook(o.print))
	}
	if o.drawn != nil {
		q = q.WithNDBuiltinCache(o.drawn)
	}
	if o.everyRule {
		q = q.WithIndexing(false)
	}
	return q
}
