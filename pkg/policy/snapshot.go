package policy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A snapshot is one policy with its data, compiled and ready. It never changes.
//
// Its store is its own and is never written, so one read transaction, opened once, serves every
// check: no check takes a lock, and new data, which comes as a new snapshot, waits for none.
type snapshot struct {
	revision   string
	entrypoint ast.Ref
	name       string // of the entrypoint
	limits     limits
	bodies     bodyReader

	compiler  *ast.Compiler
	query     query
	constants constants
	data      ast.Object
	store     storage.Store
	txn       storage.Transaction

	strip []string // the request headers that the policy can set, sorted
	reads reads
	names vocabulary
	memo  *memo
	mask  *query // what of a decision is not recorded; nil: no rule says
}

// parseEntrypoint makes a reference of a path. Numbers index arrays, as in opa-envoy-plugin.
func parseEntrypoint(name string) (ast.Ref, error) {
	ref := ast.Ref{ast.DefaultRootDocument}
	for segment := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if segment == "" {
			return nil, fmt.Errorf("policy: the entrypoint %q has an empty segment", name)
		}
		if n, err := strconv.Atoi(segment); err == nil {
			ref = append(ref, ast.InternedTerm(n))
			continue
		}
		ref = append(ref, ast.StringTerm(segment))
	}
	return ref, nil
}

func (s *snapshot) open(ctx context.Context, data map[string]any) error {
	value, err := ast.InterfaceToValue(data)
	if err != nil {
		return fmt.Errorf("policy: read data: %w", err)
	}
	var ok bool
	if s.data, ok = value.(ast.Object); !ok {
		return errors.New("policy: read data: not an object")
	}
	s.store = inmem.NewFromASTObject(s.data)
	if s.txn, err = s.store.NewTransaction(ctx); err != nil {
		return fmt.Errorf("policy: open data: %w", err)
	}
	return nil
}

func (s *snapshot) compile(ctx context.Context, modules map[string]*ast.Module, capabilities *ast.Capabilities) error {
	s.compiler = ast.NewCompiler().
		WithCapabilities(capabilities).
		WithEnablePrintStatements(s.limits.observer.print != nil).
		WithPathConflictsCheck(storage.NonEmpty(ctx, s.store, s.txn))
	for _, module := range modules {
		unindexed(module)
	}
	// Else print() is erased: what it would print may hold credentials.
	if s.compiler.Compile(modules); s.compiler.Failed() {
		return CompileError(s.compiler.Errors)
	}
	return nil
}

// CompileError lists what OPA's compiler found wrong in a policy, a line for each, and says of
// builtins that use the network what allows them.
func CompileError(errs ast.Errors) error {
	lines := make([]error, len(errs))
	for i, err := range errs {
		lines[i] = err
		if name, ok := strings.CutPrefix(err.Message, "undefined function "); ok && usesNetwork(name) {
			lines[i] = fmt.Errorf("%v: %s uses the network, which policies must not without capabilities.allowNet", err.Location, name)
		}
	}
	return fmt.Errorf("policy: compile: %w", errors.Join(lines...))
}

// decide takes one check to the decision.
func (s *snapshot) decide(ctx context.Context, now time.Time, req *authz.Request, id authz.Identity) (authz.Decision, error) {
	decision, err := s.decideOnRead(ctx, now, req, id)
	if decision.Basis != nil && s.limits.recording.Whole {
		decision.Basis = s.wholeBasis(ctx, now, req, id, decision.Basis)
	}
	return decision, err
}

// decideOnRead decides on what the policy reads, by way of the memo where it has one.
func (s *snapshot) decideOnRead(ctx context.Context, now time.Time, req *authz.Request, id authz.Identity) (authz.Decision, error) {
	in := s.limits.sheet()
	defer s.limits.done(in)
	if err := (writer{in, s.limits.asides, s.bodies}).input(&s.reads.input, req, id); err != nil {
		return authz.Decision{}, err
	}
	key := s.memo.key(in)
	if key.memo == nil {
		s.limits.counts.bypasses.Add(1)
		return s.ask(ctx, now, in)
	}
	had := s.memo.get(&key)
	if had != nil && ctx.Err() == nil && !sampled() {
		decision := *had
		decision.Cached = true
		return decision, nil
	}
	decision, err := s.ask(ctx, now, in)
	switch {
	case had != nil:
		s.memo.compare(ctx, had, decision, err)
	case err == nil:
		s.memo.put(&key, &decision)
	}
	return decision, err
}

// ask evaluates the policy on a document. The Decision returned beside an error carries its basis.
func (s *snapshot) ask(ctx context.Context, now time.Time, in *sheet) (authz.Decision, error) {
	results := s.results()
	input, err := in.document(s.names)
	if err != nil {
		return authz.Decision{Basis: s.basis(ctx, in, now, results)}, refuse(authz.Internal, "read input: a value of no JSON type")
	}
	decision, err := s.answer(ctx, now, input, results)
	decision.Basis = s.basis(ctx, in, now, results)
	return decision, err
}

// answer evaluates the policy and reads its answer.
func (s *snapshot) answer(ctx context.Context, now time.Time, input *ast.Term, results builtins.NDBCache) (authz.Decision, error) {
	answer, err := s.evaluate(ctx, s.query, now, input, results)
	if err != nil {
		return authz.Decision{}, err
	}
	if answer == nil {
		return authz.Decision{}, refuse(authz.PolicyUndefined, "evaluate: %v has no answer", s.entrypoint)
	}
	decision, err := readAnswer(answer.Value)
	if err == nil && decision.Allowed {
		decision.Upstream.RemoveHeaders = s.removals(decision.Upstream)
	}
	return decision, err
}
