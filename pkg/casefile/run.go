package casefile

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A Runner answers cases. Its fields are set before the first Run, which is called concurrently as
// far as the Decider is.
type Runner struct {
	Decider  authz.Decider
	Recorder authz.Recorder // nil: nobody

	// Slots are those of the configuration, or of [SlotsOf].
	Slots []string

	// Suppose is the identity for tokens that are stated, with one for every slot; an error is that of
	// the first door. nil: the tokens, and nothing else.
	Suppose func(tokens map[string]authz.Token) (authz.Identity, error)

	FlagAmbiguousPaths bool
	Challenge          authz.Challenge
}

// A Result is what became of a case.
type Result struct {
	Decision    authz.Decision
	Differences []Difference
	Duration    time.Duration
}

// Run takes a case through the doors. It never fails: an answer that went wrong is a denial.
func (r Runner) Run(ctx context.Context, c Case) Result {
	start := time.Now()
	d := r.Answer(ctx, c.Request, c.Tokens)
	return Result{Decision: d, Differences: append(r.strangers(c), c.Want.compare(d)...), Duration: time.Since(start)}
}

// Answer takes a request through the doors, with the tokens that are stated.
func (r Runner) Answer(ctx context.Context, req *authz.Request, tokens map[string]authz.Token) authz.Decision {
	recorder := r.Recorder
	if recorder == nil {
		recorder = authz.Recorders{}
	}
	checker := authz.Checker{
		Verifier: stated{r, tokens}, Decider: r.Decider, Recorder: recorder,
		FlagAmbiguousPaths: r.FlagAmbiguousPaths, Challenge: r.Challenge,
	}
	return checker.Check(ctx, req)
}

// strangers are tokens in slots that the configuration does not have: policy would never see them.
func (r Runner) strangers(c Case) []Difference {
	var out []Difference
	for _, name := range slices.Sorted(maps.Keys(c.Tokens)) {
		if !slices.Contains(r.Slots, name) {
			out = append(out, Difference{"tokens", "a slot of the configuration (" + strings.Join(r.Slots, ", ") + ")", name})
		}
	}
	return out
}

// stated is a first door that believes what a case says of the tokens.
type stated struct {
	Runner
	tokens map[string]authz.Token
}

// Verify implements [authz.Verifier].
func (s stated) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	tokens := map[string]authz.Token{}
	for _, name := range s.Slots {
		tokens[name] = authz.Token{Status: authz.TokenMissing}
	}
	maps.Copy(tokens, s.tokens)
	if s.Suppose != nil {
		return s.Suppose(tokens)
	}
	return authz.Identity{Tokens: tokens}, nil
}

// SlotsOf are the slots that a file and its cases name, for where no configuration does.
func SlotsOf(f *File) []string {
	names := map[string]bool{}
	for _, name := range f.Slots {
		names[name] = true
	}
	for _, c := range f.Cases {
		for name := range c.Tokens {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
