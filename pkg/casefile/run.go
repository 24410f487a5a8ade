package casefile

import (
	"context"
	"errors"
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
	Slots []Slot

	FlagAmbiguousPaths bool
	Challenge          authz.Challenge
}

// A Slot is a place for a token, as a rule of the configuration makes it.
type Slot struct {
	Name     string
	Required bool // the first door refuses a request without this token
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
		Verifier: stated{slots: r.Slots, tokens: tokens}, Decider: r.Decider, Recorder: recorder,
		FlagAmbiguousPaths: r.FlagAmbiguousPaths, Challenge: r.Challenge,
	}
	return checker.Check(ctx, req)
}

// strangers are tokens in slots that the configuration does not have: policy would never see them.
func (r Runner) strangers(c Case) []Difference {
	names := make([]string, len(r.Slots))
	for i, s := range r.Slots {
		names[i] = s.Name
	}
	var out []Difference
	for _, name := range slices.Sorted(maps.Keys(c.Tokens)) {
		if !slices.Contains(names, name) {
			out = append(out, Difference{"tokens", "a slot of the configuration (" + strings.Join(names, ", ") + ")", name})
		}
	}
	return out
}

// stated is a first door that believes what a case says of the tokens.
type stated struct {
	slots  []Slot
	tokens map[string]authz.Token
}

// Verify implements [authz.Verifier].
func (s stated) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	id := authz.Identity{Tokens: maps.Clone(s.tokens)}
	if id.Tokens == nil {
		id.Tokens = map[string]authz.Token{}
	}
	for _, slot := range s.slots {
		if _, ok := id.Tokens[slot.Name]; !ok {
			id.Tokens[slot.Name] = authz.Token{Status: authz.TokenMissing}
		}
		if slot.Required && id.Tokens[slot.Name].Status == authz.TokenMissing {
			return id, &authz.Error{Reason: authz.TokenRequired, Err: errors.New("casefile: the slot " + slot.Name + " is required, and has no token")}
		}
	}
	return id, nil
}

// SlotsOf are the slots that a file and its cases name, for where no configuration does.
func SlotsOf(f *File) []Slot {
	names := map[string]bool{}
	for _, name := range f.Slots {
		names[name] = true
	}
	for _, c := range f.Cases {
		for name := range c.Tokens {
			names[name] = true
		}
	}
	out := make([]Slot, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		out = append(out, Slot{Name: name})
	}
	return out
}
