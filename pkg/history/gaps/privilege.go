package gaps

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
)

// Of how many principals and patterns, those with the most decisions, the policy is asked what they
// could reach. That is some 20,000 questions.
const (
	askedPrincipals = 200
	askedPatterns   = 100
)

// leastExcess is how many unused patterns make an excess, where they are also as many as those used.
const leastExcess = 3

// privileges is what the policy at hand says of who may reach what.
type privileges struct {
	*Finder
	principals, patterns []string
	of                   map[string]*history.Record // a sample of each pattern, an allowed one where there is any
	public               map[string]bool            // the patterns that anybody reaches
	unused               map[[2]string]bool         // reachable, and never allowed
	idle                 map[string][]grant         // the grants that a principal did not need
	gaps                 []Gap
	like, unlike         int // samples that the policy decides as the record has it, and others
}

func (f *Finder) privileges() *privileges {
	p := &privileges{
		Finder: f, principals: top(f.principals.entries, askedPrincipals), patterns: top(f.patterns.entries, askedPatterns),
		of: map[string]*history.Record{}, public: map[string]bool{}, unused: map[[2]string]bool{}, idle: map[string][]grant{},
	}
	for key, pair := range f.pairs.entries {
		if now := p.of[key[1]]; now == nil || pair.sample.Allowed && !now.Allowed || pair.sample.Allowed == now.Allowed && earlier(pair.sample, now.Time, now.ID) {
			p.of[key[1]] = pair.sample
		}
	}
	return p
}

// find asks the policy, where there is one.
func (p *privileges) find(ctx context.Context) error {
	if p.config.Policy == nil {
		return nil
	}
	for _, pattern := range p.patterns {
		if sample := p.of[pattern]; sample != nil {
			p.public[pattern] = p.allows(ctx, sample, &history.Record{}, authz.Identity{Tokens: nobody(sample)})
		}
	}
	p.grants(ctx)
	for _, principal := range p.principals {
		if principal != history.Anonymous {
			p.reach(ctx, principal)
		}
	}
	if ctx.Err() != nil { // then what was asked was denied for it
		return fmt.Errorf("gaps: ask the policy: %w", context.Cause(ctx))
	}
	return nil
}

// nobody has the slots of a record, and no token.
func nobody(r *history.Record) map[string]authz.Token {
	out := map[string]authz.Token{}
	for slot := range r.Tokens {
		out[slot] = authz.Token{Status: authz.TokenMissing}
	}
	return out
}

// allows asks about the request of one record, made by who made another.
func (p *privileges) allows(ctx context.Context, what, who *history.Record, id authz.Identity) bool {
	asked := *what
	asked.Source = who.Source
	asked.Path = own(what, who)
	req := asked.Remake()
	return req.Fault == nil && p.config.Policy.Allows(ctx, what.Time, req, id)
}

// own is the path of a request, with the subject that made it replaced by another: where users reach
// what is theirs, another reaches his own.
func own(what, who *history.Record) string {
	subjects := map[string]string{}
	for slot, token := range what.Tokens {
		if other := who.Tokens[slot].Subject; token.Subject != "" && other != "" {
			subjects[token.Subject] = other
		}
	}
	segments := strings.Split(what.Path, "/")
	for i, segment := range segments {
		if other, ok := subjects[segment]; ok {
			segments[i] = other
		}
	}
	return strings.Join(segments, "/")
}

// A holder is whose token it is, in one slot.
type holder struct{ slot, name string }

// A holding is who holds a grant, and who of them did not need it.
type holding struct {
	holders, idle []string
	count         // the decisions of those who did not
}

// An exercise is what the holder of a token was allowed: samples, and the identities that they showed.
type exercise struct {
	samples []*history.Record
	ids     []authz.Identity
	count
}

// exercises are what each holder of a token was allowed, alone or together with others.
func (p *privileges) exercises(ctx context.Context) map[holder]*exercise {
	out := map[holder]*exercise{}
	for _, principal := range p.principals {
		for _, pattern := range p.patterns {
			pair := p.pairs.entries[[2]string{principal, pattern}]
			if pair == nil || pair.allowed == 0 {
				continue
			}
			id := pair.sample.RemakeIdentity()
			if !p.allows(ctx, pair.sample, pair.sample, id) {
				p.unlike++
				continue
			}
			p.like++
			for slot, token := range id.Tokens {
				if token.Status != authz.TokenValid {
					continue
				}
				one := history.Record{Tokens: map[string]history.Token{slot: pair.sample.Tokens[slot]}}
				who := holder{slot, one.Principal()}
				if out[who] == nil {
					out[who] = &exercise{}
				}
				e := out[who]
				e.samples, e.ids = append(e.samples, pair.sample), append(e.ids, id)
				e.n += pair.allowed
			}
		}
	}
	return out
}

// grants takes each grant of a token away, and sees whether all that its holder was allowed is
// allowed still. What was taken stays away, so that of two that do for one another one is needed.
func (p *privileges) grants(ctx context.Context) {
	exercises, holdings := p.exercises(ctx), map[grant]*holding{}
	order := func(a, b holder) int { return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.name, b.name)) }
	for _, who := range slices.SortedFunc(maps.Keys(exercises), order) {
		e, held := exercises[who], map[grant]bool{}
		for _, id := range e.ids {
			for _, g := range grantsOf(id) {
				held[g] = held[g] || g.slot == who.slot
			}
		}
		maps.DeleteFunc(held, func(_ grant, ours bool) bool { return !ours })
		for _, g := range slices.SortedFunc(maps.Keys(held), compareGrants) {
			if holdings[g] == nil {
				holdings[g] = &holding{}
			}
			h := holdings[g]
			h.holders = append(h.holders, who.name)
			if p.needs(ctx, e, g) {
				continue
			}
			for i := range e.ids {
				e.ids[i] = without(e.ids[i], g)
			}
			p.idle[who.name] = append(p.idle[who.name], g)
			h.idle = append(h.idle, who.name)
			h.n += e.n
			h.sample = cmp.Or(h.sample, e.samples[0].ID)
		}
	}
	p.idleGrants(holdings)
}

// needs tells whether a request is denied without a grant.
func (p *privileges) needs(ctx context.Context, e *exercise, g grant) bool {
	for i, sample := range e.samples {
		if !p.allows(ctx, sample, sample, without(e.ids[i], g)) {
			return true
		}
	}
	return false
}

func (p *privileges) idleGrants(holdings map[grant]*holding) {
	for g, h := range holdings {
		if len(h.idle) == 0 {
			continue
		}
		what := fmt.Sprintf("held by %d, of whom %d needed it for what they did", len(h.holders), len(h.holders)-len(h.idle))
		if len(h.holders) == len(h.idle) {
			what = fmt.Sprintf("held by %d, and nobody needed it for what was done", len(h.holders))
		}
		p.gaps = append(p.gaps, Gap{
			Kind: UnusedGrant, Risk: 2, Subject: g.String(), What: what, Decisions: h.n, Sample: h.sample,
			Mend: fmt.Sprintf("at the issuer, take %s %q from %s", g.claim, g.value, some(h.idle)),
		})
	}
}

// some are the first of a list.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// reach finds what a principal could reach and never did.
func (p *privileges) reach(ctx context.Context, principal string) {
	who := p.identity(principal)
	if who == nil {
		return
	}
	id := who.RemakeIdentity()
	used, decisions, less := 0, 0, p.withLess(principal)
	var unused []string
	for _, pattern := range p.patterns {
		sample, allowed := p.of[pattern], p.used(less, pattern)
		switch {
		case sample == nil || pattern == refused || p.public[pattern]:
		case allowed > 0:
			used++
			decisions += allowed
		case p.allows(ctx, sample, who, id):
			unused = append(unused, pattern)
			p.unused[[2]string{principal, pattern}] = true
		}
	}
	if len(unused) < leastExcess || len(unused) < used {
		return
	}
	p.gaps = append(p.gaps, Gap{
		Kind: Excess, Risk: 4, Subject: principal, Decisions: decisions, Sample: who.ID,
		What: fmt.Sprintf("could reach %d patterns and used %d; not used: %s", used+len(unused), used, some(unused)),
		Mend: p.mendExcess(ctx, principal, unused),
	})
}

// withLess are the principals that proved nothing but what this one did, itself among them.
func (p *privileges) withLess(principal string) []string {
	proved := strings.Fields(principal)
	var out []string
	for _, other := range p.principals {
		if !slices.ContainsFunc(strings.Fields(other), func(part string) bool { return !slices.Contains(proved, part) }) {
			out = append(out, other)
		}
	}
	return out
}

// used is how often any of the principals was allowed.
func (p *privileges) used(principals []string, pattern string) int {
	n := 0
	for _, principal := range principals {
		if pair := p.pairs.entries[[2]string{principal, pattern}]; pair != nil {
			n += pair.allowed
		}
	}
	return n
}

// identity is the record that shows who a principal is: of what it used most.
func (p *privileges) identity(principal string) *history.Record {
	var best *pair
	for _, pattern := range p.patterns {
		pair := p.pairs.entries[[2]string{principal, pattern}]
		if pair != nil && (best == nil || pair.allowed > best.allowed) {
			best = pair
		}
	}
	if best == nil {
		return nil
	}
	return best.sample
}

// mendExcess names the grant that closes most and was not needed; where there is none, the rules must
// ask for more.
func (p *privileges) mendExcess(ctx context.Context, principal string, unused []string) string {
	who := p.identity(principal)
	best, most := grant{}, 0
	for _, g := range p.idleOf(principal) {
		closed := 0
		for _, pattern := range unused {
			if !p.allows(ctx, p.of[pattern], who, without(who.RemakeIdentity(), g)) {
				closed++
			}
		}
		if closed > most {
			best, most = g, closed
		}
	}
	if most > 0 {
		return fmt.Sprintf("at the issuer, take %s %q from %s: it closes %d of the %d, and nothing that was used", best.claim, best.value, principal, most, len(unused))
	}
	return "have the rules of these patterns ask for something that it does not have: scopes, roles or principals"
}

// idleOf are the grants that none of a principal's tokens needed.
func (p *privileges) idleOf(principal string) []grant {
	var out []grant
	for part := range strings.FieldsSeq(principal) {
		out = append(out, p.idle[part]...)
	}
	return out
}

// matrix is who reaches what.
func (p *privileges) matrix() Matrix {
	var out Matrix
	for _, name := range p.principals {
		out.Principals = append(out.Principals, Total{name, p.Finder.principals.entries[name].n})
	}
	for _, name := range p.patterns {
		out.Patterns = append(out.Patterns, Total{name, p.Finder.patterns.entries[name].n})
	}
	for _, principal := range p.principals {
		for _, pattern := range p.patterns {
			cell := Cell{Principal: principal, Pattern: pattern, Unused: p.unused[[2]string{principal, pattern}]}
			if pair := p.pairs.entries[[2]string{principal, pattern}]; pair != nil {
				cell.Allowed, cell.Denied, cell.Sample = pair.allowed, pair.denied, pair.sample.ID
			}
			if cell.Unused || cell.Allowed+cell.Denied > 0 {
				out.Cells = append(out.Cells, cell)
			}
		}
	}
	return out
}
