package gaps

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/pkg/history"
)

// A Finder counts records. Make it with [New].
type Finder struct {
	config Config

	mu          sync.Mutex // guards what follows
	all         int
	allowed     int
	first, last time.Time
	revisions   book[string, int]
	naming      book[string, bool] // the entrypoints of policies that name rules
	hits        map[Kind]*book[mark, hit]
	rules       book[[2]string, use] // by name and route
	principals  book[string, count]
	patterns    book[string, count]
	pairs       book[[2]string, pair] // by principal and pattern
	lack        lack
}

// refused is the pattern of requests that no policy was asked about, and so nobody knows the route.
const refused = "(refused before the policy)"

// A hit is the decisions that show one gap.
type hit struct {
	count
	longest time.Duration // of LongLived
}

// A use is what a rule was named for.
type use struct{ allowed, denied int }

// New makes a Finder that has seen nothing.
func New(config Config) *Finder {
	config.MaxLifetime = cmp.Or(config.MaxLifetime, time.Hour)
	return &Finder{
		config: config, hits: map[Kind]*book[mark, hit]{},
		revisions: newBook[string, int](maxSubjects), naming: newBook[string, bool](maxSubjects),
		rules:      newBook[[2]string, use](maxSubjects),
		principals: newBook[string, count](maxPrincipals), patterns: newBook[string, count](maxPatterns),
		pairs: newBook[[2]string, pair](maxPairs),
	}
}

// Add takes a record. It may be called concurrently.
func (f *Finder) Add(r *history.Record) {
	marks, who, what := f.config.marks(r), r.Principal(), r.Pattern()
	if r.Entrypoint == "" {
		what = refused
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total(r)
	for _, m := range marks {
		f.mark(m, r)
	}
	if r.Rule != "" {
		if use := f.rules.at([2]string{r.Rule, r.Route}); use != nil && r.Allowed {
			use.allowed++
		} else if use != nil {
			use.denied++
		}
		if naming := f.naming.at(r.Entrypoint); naming != nil {
			*naming = true
		}
	}
	f.pair(who, what, r)
}

func (f *Finder) total(r *history.Record) {
	f.all++
	if r.Allowed {
		f.allowed++
	}
	if f.first.IsZero() || r.Time.Before(f.first) {
		f.first = r.Time
	}
	if r.Time.After(f.last) {
		f.last = r.Time
	}
	if r.Revision != "" {
		if n := f.revisions.at(r.Revision); n != nil {
			*n++
		}
	}
	f.lack.add(r)
}

func (f *Finder) mark(m mark, r *history.Record) {
	kind := f.hits[m.kind]
	if kind == nil {
		made := newBook[mark, hit](maxSubjects)
		kind = &made
		f.hits[m.kind] = kind
	}
	found := kind.at(m)
	if found == nil {
		return
	}
	found.add(r)
	if m.kind == LongLived {
		found.longest = max(found.longest, r.Tokens[m.detail.slot].Lifetime())
	}
}

func (f *Finder) pair(who, what string, r *history.Record) {
	for _, side := range []struct {
		in   *book[string, count]
		name *string
	}{{&f.principals, &who}, {&f.patterns, &what}} {
		if count := side.in.at(*side.name); count != nil {
			count.add(r)
		} else {
			*side.name = others
		}
	}
	if who == others || what == others {
		f.pairs.spilled++
		return
	}
	if p := f.pairs.at([2]string{who, what}); p != nil {
		p.add(r)
	}
}

// Report finds the gaps in what was added until now. It asks the policy, where there is one, at most
// some ten thousand times.
func (f *Finder) Report(ctx context.Context) (*Report, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &Report{
		Decisions: f.all, Allowed: f.allowed, Denied: f.all - f.allowed, From: f.first, To: f.last,
		Revisions: map[string]int{},
	}
	for name, n := range f.revisions.entries {
		out.Revisions[name] = *n
	}
	out.Gaps = append(f.marked(), f.unusedRules()...)
	privileges := f.privileges()
	if err := privileges.find(ctx); err != nil {
		return nil, err
	}
	out.Gaps = append(out.Gaps, privileges.gaps...)
	out.Matrix = privileges.matrix()
	for i := range out.Gaps {
		out.Gaps[i].rank(f.all)
	}
	slices.SortFunc(out.Gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Risk, a.Risk), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.What, b.What))
	})
	out.Unknown = f.unknown(privileges)
	return out, nil
}

// marked are the gaps that records show by themselves.
func (f *Finder) marked() []Gap {
	var out []Gap
	for kind, found := range f.hits {
		for m, hit := range found.entries {
			if kind == ByDefault && !m.detail.undefined && !f.names(m.detail.entrypoint) {
				continue
			}
			gap := f.mend(m, hit)
			gap.Kind, gap.Subject, gap.Decisions, gap.Sample = kind, m.subject, hit.n, hit.sample
			out = append(out, gap)
		}
	}
	return out
}

// names tells whether an entrypoint's policy names the rule that decides, so that no name means that
// none did.
func (f *Finder) names(entrypoint string) bool { return f.naming.entries[entrypoint] != nil }
