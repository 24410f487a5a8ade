package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy/prove"
)

// invariantFiles reads every file of invariants; what is wrong with any is said at once.
func invariantFiles(paths []string) ([]*casefile.Invariants, error) {
	var out []*casefile.Invariants
	var mistakes casefile.Mistakes
	for _, name := range paths {
		names, err := filesBelow(name, casefile.IsInvariants)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			file, err := casefile.ParseInvariants(name, text)
			if found, ok := errors.AsType[casefile.Mistakes](err); ok {
				mistakes = append(mistakes, found...)
			}
			out = append(out, file)
		}
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return out, nil
}

// invariantTests proves the invariants that the filter lets through.
func (s *suite) invariantTests(ctx context.Context, files []*casefile.Invariants) ([]testResult, error) {
	p := &prover{config: s.config, runner: s.runner, required: s.required, timeout: defaultProofTime}
	p.config.Print, p.config.Coverage = nil, nil
	var out []testResult
	for _, file := range files {
		for i, c := range claimsOf(file) {
			if !s.wanted.MatchString(c.Note) {
				continue
			}
			proof, err := p.with(file).prove(ctx, c)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file.Name, err)
			}
			out = append(out, proof.result(file.List[i].Line))
		}
	}
	return out, nil
}

// result is a proof as the result of a test: a counterexample fails, and what is unknown is an error.
func (p *proof) result(line int) testResult {
	t := testResult{Location: location{p.file, line, 1}, Package: p.file, Name: p.Note, Duration: p.Took}
	switch p.Verdict {
	case prove.Counterexample:
		t.Fail = true
		t.Invariant = append([]string{"a request is allowed for which the condition holds:"}, strings.Split(strings.TrimSuffix(p.Case, "\n"), "\n")...)
		t.Rules = p.Rules
	case prove.Unknown:
		text := make([]string, len(p.Obstacles))
		for i, o := range p.Obstacles {
			text[i] = "in the way: " + obstacle(o)
		}
		t.Error = &testError{"it is not known whether this holds; " + strings.Join(text, "; ")}
	}
	return t
}
