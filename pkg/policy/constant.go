package policy

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/util"
)

// constantBudget bounds how long a load computes constants. What is not done by then is evaluated
// by each check that needs it, as any other rule is.
const constantBudget = 10 * time.Second

// constants holds the values of the rules that no request can change: those that depend on data
// alone. They are computed once, when the snapshot is made.
//
// A rule that fails, or that has conflicting values, is not among them: it is evaluated by each
// check and fails there, where it is needed.
type constants struct {
	values   topdown.VirtualCache
	timedOut bool
	seen     func(ast.Ref) // told of every use of a value; may be nil
}

func (s *snapshot) computeConstants(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, constantBudget)
	defer cancel()
	s.constants.values = topdown.NewVirtualCache()
	varying, done := s.varying(), map[*ast.TreeNode]bool{}
	for _, rule := range s.reachable() {
		path := rule.Ref().GroundPrefix()
		node := s.compiler.RuleTree.Find(path)
		if done[node] || !isConstant(node, varying) {
			continue
		}
		done[node] = true
		value, err := s.constant(ctx, path)
		if ctx.Err() != nil {
			s.constants.timedOut = true
			return
		}
		if err == nil {
			s.constants.values.Put(path, value)
		}
	}
}

// constant is the value of a rule that sees neither the request nor the time.
func (s *snapshot) constant(ctx context.Context, path ast.Ref) (*ast.Term, error) {
	q, err := s.newQuery(path)
	if err != nil {
		return nil, err
	}
	atLoad := *s
	atLoad.limits.maxSteps = math.MaxInt64 // constantBudget is the bound here
	return atLoad.evaluate(ctx, q, time.Time{}, ast.InternedEmptyObject, nil)
}

// cache is what an evaluation starts with.
func (c *constants) cache() topdown.VirtualCache {
	return &checkCache{VirtualCache: topdown.NewVirtualCache(), constants: c}
}

// isConstant tells whether a place in the rule tree is a rule, not a function, with a constant
// value. A place with others below it is left alone: the evaluator mixes their values.
func isConstant(node *ast.TreeNode, varying map[*ast.Rule]bool) bool {
	if node == nil || len(node.Children) > 0 {
		return false
	}
	for _, rule := range node.Values {
		for ; rule != nil; rule = rule.Else {
			if varying[rule] || len(rule.Head.Args) > 0 {
				return false
			}
		}
	}
	return len(node.Values) > 0
}

// varying lists the rules whose value may differ from check to check: those that speak of input or
// call a builtin that does not always answer the same, and all that depend on them.
func (s *snapshot) varying() map[*ast.Rule]bool {
	varying := map[*ast.Rule]bool{}
	var queue []util.T
	for _, module := range s.compiler.Modules {
		ast.WalkRules(module, func(rule *ast.Rule) bool {
			if varies(rule) {
				queue = append(queue, rule)
			}
			return false
		})
	}
	for len(queue) > 0 {
		rule, ok := queue[0].(*ast.Rule)
		queue = queue[1:]
		if !ok || varying[rule] {
			continue
		}
		varying[rule] = true
		for dependent := range s.compiler.Graph.Dependents(rule) {
			queue = append(queue, dependent)
		}
	}
	return varying
}

// varies tells whether a rule itself speaks of what differs from check to check.
func varies(rule *ast.Rule) (found bool) {
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		switch v := t.Value.(type) {
		case ast.Var:
			found = found || v.Equal(ast.InputRootDocument.Value)
		case ast.Ref:
			found = found || isNondeterministic(v.String())
		}
		return found
	})
	return found
}

// isNondeterministic adds to OPA's own list what asks the machine's clock or its trusted roots, what
// may fetch a schema, and what signs.
func isNondeterministic(builtin string) bool {
	b, ok := ast.BuiltinMap[builtin]
	if !ok {
		return false
	}
	switch b.Name {
	case ast.JWTDecodeVerify.Name, ast.JSONMatchSchema.Name, ast.JSONSchemaVerify.Name, ast.ProvidersAWSSignReqObj.Name:
		return true
	}
	return b.Nondeterministic || strings.HasPrefix(b.Name, "crypto.x509.parse_and_verify")
}

// A checkCache is the evaluator's cache of one check, over the constants. Under a "with", which
// may replace what they were computed from, they are not looked at.
type checkCache struct {
	topdown.VirtualCache
	constants *constants
	withs     int
}

// Push implements [topdown.VirtualCache]: the evaluator enters a "with".
func (c *checkCache) Push() {
	c.withs++
	c.VirtualCache.Push()
}

// Pop implements [topdown.VirtualCache].
func (c *checkCache) Pop() {
	c.withs--
	c.VirtualCache.Pop()
}

// Get implements [topdown.VirtualCache].
func (c *checkCache) Get(ref ast.Ref) (value *ast.Term, undefined bool) {
	if c.withs == 0 {
		if value, undefined := c.constants.values.Get(ref); value != nil || undefined {
			if c.constants.seen != nil {
				c.constants.seen(ref)
			}
			return value, undefined
		}
	}
	return c.VirtualCache.Get(ref)
}
