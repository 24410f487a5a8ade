package policy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/sallyport/sallyport/pkg/authz"
)

// failure makes a denial of an evaluation error. Of the engine's own text nothing is kept but the
// builtin's name, because builtins quote their operands, which come from the request.
func (s *snapshot) failure(err error) error {
	e, ok := errors.AsType[*topdown.Error](err)
	if !ok {
		return refuse(authz.PolicyError, "evaluate: %v failed", s.entrypoint)
	}
	where := s.where(e.Location)
	switch e.Code {
	case topdown.ConflictErr:
		return refuse(authz.PolicyConflict, "evaluate: %s has conflicting values", where)
	case topdown.BuiltinErr, topdown.TypeErr:
		return refuse(authz.PolicyError, "evaluate: %s: %s failed", where, s.builtin(e.Message))
	case topdown.CancelErr:
		return refuse(authz.Timeout, "evaluate: %s was cancelled", where)
	}
	return refuse(authz.PolicyError, "evaluate: %s: %s", where, e.Code)
}

func (s *snapshot) tooLate(ctx context.Context) error {
	return refuse(authz.Timeout, "evaluate: %v took too long: %w", s.entrypoint, ctx.Err())
}

// where names the rule at a location, and the location.
func (s *snapshot) where(at *ast.Location) string {
	if at == nil || at.File == "" {
		return s.entrypoint.String()
	}
	if rule := s.ruleAt(at); rule != nil {
		return fmt.Sprintf("%v (%s:%d)", rule.Ref(), at.File, at.Row)
	}
	return fmt.Sprintf("%s:%d", at.File, at.Row)
}

// ruleAt finds the rule whose text holds the location. It is slow and only used for errors.
func (s *snapshot) ruleAt(at *ast.Location) *ast.Rule {
	var found *ast.Rule
	for _, module := range s.compiler.Modules {
		for _, rule := range module.Rules {
			first := rule.Location
			last := first.Row + bytes.Count(first.Text, []byte("\n"))
			if first.File == at.File && first.Row <= at.Row && at.Row <= last {
				found = rule
			}
		}
	}
	return found
}

// builtin is the name that begins an error text of OPA ("to_number: …"), if it is one.
func (s *snapshot) builtin(message string) string {
	name, _, _ := strings.Cut(message, ":")
	if _, ok := ast.BuiltinMap[name]; ok {
		return name
	}
	return "a builtin"
}
