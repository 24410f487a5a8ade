package policy

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// Recording says that decisions carry their [authz.Basis], and what it may hold.
type Recording struct {
	// Claims are those that are kept where the policy reads all claims of a token; "*" keeps all. A
	// claim that the policy names is kept as well. Credentials are masked in any.
	Claims []string

	// Body are the members of a body that are kept where the policy reads all of it, in the same way. A
	// body is the caller's business with the upstream, so by default there are none.
	Body []string

	// Whole keeps all of the input, and not only what the policy reads, so that a policy that reads more
	// can be replayed. Each check pays for it, also one that the memo answers. What does not fit is kept
	// as far as the policy reads it.
	Whole bool
}

// maxBasisBytes bounds the input that a record holds. A larger one is a body that the policy reads whole.
const maxBasisBytes = 64 << 10

// basis is what a decision was made from, for its record; nil where nobody records. It is made where
// a policy is evaluated, which costs ten times as much, and kept with the decision in the memo, so
// that a decision from there costs nothing more.
func (s *snapshot) basis(ctx context.Context, in *sheet, now time.Time, results builtins.NDBCache) *authz.Basis {
	if s.limits.recording == nil {
		return nil
	}
	b := &authz.Basis{}
	c := clerk{Recording: s.limits.recording, root: "input", rest: string(in.bytes), asides: in.asides, out: make([]byte, 0, len(in.bytes)*3/2+64)}
	c.value(spot{zone: inRoot, read: &s.reads.input})
	if b.Input, b.Masked = c.out, c.masked; len(c.out) > maxBasisBytes {
		b.Input, b.Masked, b.Incomplete = nil, nil, "the input is too large to be recorded"
	}
	if !s.reads.deterministic {
		b.Time = now
		b.Results = c.results(results)
	}
	switch {
	case b.Incomplete != "":
	case s.reads.unrecorded != "":
		b.Incomplete = "the answers of " + s.reads.unrecorded + " are not recorded"
	case len(c.masked) > 0:
		b.Incomplete = "masked values"
	}
	s.maskByPolicy(ctx, now, b)
	return b
}

// wholeBasis is a basis with all of the input. Why it is not all that the policy decided from depends on
// what the policy read, and stays.
func (s *snapshot) wholeBasis(ctx context.Context, now time.Time, req *authz.Request, id authz.Identity, had *authz.Basis) *authz.Basis {
	in := s.limits.sheet()
	defer s.limits.done(in)
	if had.Input == nil || (writer{in, s.limits.asides, s.bodies}).input(&part{whole: true}, req, id) != nil {
		return had
	}
	c := clerk{Recording: s.limits.recording, root: "input", rest: string(in.bytes), asides: in.asides, all: true}
	if c.value(spot{zone: inRoot, read: &s.reads.input}); len(c.out) > maxBasisBytes {
		return had
	}
	b := *had
	b.Input, b.Whole, b.Withheld = c.out, true, nil
	b.Masked = append(c.masked, slices.DeleteFunc(slices.Clone(had.Masked), func(place string) bool { return strings.HasPrefix(place, "input/") })...)
	s.maskByPolicy(ctx, now, &b)
	return &b
}

// results is where an evaluation keeps what its non-deterministic builtins answer.
func (s *snapshot) results() builtins.NDBCache {
	if s.limits.recording == nil || s.reads.deterministic {
		return nil
	}
	return builtins.NDBCache{}
}

// results writes what builtins answered, by name and by the list of their arguments as JSON text.
// Two lists that differ in what is masked become one.
func (c *clerk) results(cache builtins.NDBCache) []byte {
	if len(cache) == 0 {
		return nil
	}
	c.out, c.root = nil, "nd_builtin_cache"
	c.raw("{")
	for i, name := range slices.Sorted(maps.Keys(cache)) {
		if i > 0 {
			c.raw(",")
		}
		c.out = append(mask.AppendJSON(c.out, name), ':')
		c.path = []string{name}
		c.calls(name, cache[name])
	}
	c.raw("}")
	return c.out
}

// calls writes the calls of one builtin.
func (c *clerk) calls(builtin string, calls ast.Object) {
	at := spot{zone: inNamed, read: &part{whole: true}}
	if strings.HasPrefix(builtin, "io.jwt.") || builtin == "opa.runtime" {
		at.zone = inOpaque // signs with keys, and makes tokens; has the environment
	}
	seen := map[string]bool{}
	c.raw("{")
	calls.Foreach(func(operands, result *ast.Term) {
		arguments := clerk{Recording: c.Recording, root: c.root, path: c.path}
		arguments.term(at, operands.Value)
		c.masked = append(c.masked, arguments.masked...)
		if key := string(arguments.out); !seen[key] {
			if len(seen) > 0 {
				c.raw(",")
			}
			seen[key] = true
			c.out = append(mask.AppendJSON(c.out, key), ':')
			c.term(at, result.Value)
		}
	})
	c.raw("}")
}
