package gaps

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/history"
)

// What is kept of a log, however long it is. What comes when the room is taken is counted as others.
const (
	maxSubjects   = 1000   // of each kind of gap
	maxPrincipals = 1000   // distinct ones
	maxPatterns   = 500    // distinct ones
	maxPairs      = 10_000 // of a principal and a pattern, each with a sample
	maxInput      = 8 << 10
)

// others is what a name becomes when there is no room for it.
const others = "others"

// A count is of decisions, with the earliest as the sample.
type count struct {
	n      int
	sample string
	at     time.Time
}

func (c *count) add(r *history.Record) {
	c.n++
	if c.sample == "" || earlier(r, c.at, c.sample) {
		c.sample, c.at = r.ID, r.Time
	}
}

// earlier orders records whatever the order in which they come.
func earlier(r *history.Record, at time.Time, id string) bool {
	if r.Time.Equal(at) {
		return r.ID < id
	}
	return r.Time.Before(at)
}

// A book keeps an entry for each key, as long as there is room.
type book[K comparable, V any] struct {
	most    int
	entries map[K]*V
	spilled int // how often there was no room
}

func newBook[K comparable, V any](most int) book[K, V] {
	return book[K, V]{most: most, entries: map[K]*V{}}
}

// at is the entry of a key; nil where there is no room.
func (b *book[K, V]) at(key K) *V {
	entry := b.entries[key]
	switch {
	case entry != nil:
	case len(b.entries) >= b.most:
		b.spilled++
	default:
		entry = new(V)
		b.entries[key] = entry
	}
	return entry
}

// top are the keys with the most decisions, at most so many.
func top(counts map[string]*count, most int) []string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if counts[a].n != counts[b].n {
			return counts[b].n - counts[a].n
		}
		return strings.Compare(a, b)
	})
	return names[:min(len(names), most)]
}

// A pair is a principal and a pattern: what became of those requests, and one of them.
type pair struct {
	allowed, denied int
	sample          *history.Record // an allowed one, where there is any
}

func (p *pair) add(r *history.Record) {
	if r.Allowed {
		p.allowed++
	} else {
		p.denied++
	}
	switch {
	case p.sample == nil, r.Allowed && !p.sample.Allowed:
	case r.Allowed != p.sample.Allowed, !earlier(r, p.sample.Time, p.sample.ID):
		return
	}
	kept := *r
	kept.Answer, kept.Results, kept.Masked = history.Answer{}, nil, nil
	if len(kept.Input) > maxInput {
		kept.Input = nil
	}
	p.sample = &kept
}
