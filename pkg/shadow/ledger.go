package shadow

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// maxGroups bounds the groups of each verdict: who asks for many paths must not fill the memory, nor
// push one verdict's groups out with another's.
const maxGroups = 64

// A Report is what was compared so far, of one pair of revisions.
type Report struct {
	Live      string // the revision that decides
	Candidate string
	Since     time.Time // of the first comparison; zero before it
	Compared  uint64
	Verdicts  map[authz.Verdict]uint64
	Failed    uint64 // comparisons where the candidate failed
	Unlike    uint64 // comparisons that count as a difference (see [authz.Comparison.Unlike]): what the limit is about
	Dropped   uint64 // checks that were to be compared and were not, of this pair or not
	Groups    []Group
	Ungrouped uint64 // comparisons with a difference that no group had room for
}

// A Group is of the differences that are alike.
type Group struct {
	Verdict authz.Verdict
	Route   string       // that the policy names, else the method and the path's first segment
	Rule    string       // that the candidate names, else the live policy
	Before  authz.Reason // of the live decision
	After   authz.Reason // of the candidate's
	Effects string       // what differs, where the verdict is Changed

	Count  uint64
	Sample string    // the id of the last decision
	Last   time.Time // when it was made
}

// Limits are what promotion waits for.
type Limits struct {
	Decisions   uint64 // that must have been compared
	Differences uint64 // at most, of the candidate's failures too
}

// Missing says what is missing for promotion; "" where nothing is.
func (r *Report) Missing(l Limits) string {
	switch {
	case r.Unlike > l.Differences:
		return fmt.Sprintf("%d of %d decisions differ or failed, at most %d may", r.Unlike, r.Compared, l.Differences)
	case r.Compared < l.Decisions:
		return fmt.Sprintf("%d of %d decisions were compared", r.Compared, l.Decisions)
	}
	return ""
}

// pair are the revisions that a sum is about.
type pair struct{ live, candidate string }

// A ledger sums up.
type ledger struct {
	dropped atomic.Uint64 // by checks, which take no lock

	mu     sync.Mutex
	pair   pair
	sum    Report
	groups map[Group]*Group // by the group without its count, sample and time
}

// enter adds a comparison. Another pair begins anew.
func (l *ledger) enter(c *authz.Comparison, of pair, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups == nil || l.pair != of {
		l.pair, l.groups = of, map[Group]*Group{}
		l.sum = Report{Since: now, Verdicts: map[authz.Verdict]uint64{}}
	}
	verdict := c.Difference.Verdict
	l.sum.Compared++
	l.sum.Verdicts[verdict]++
	if c.Failed() {
		l.sum.Failed++
	}
	if c.Unlike() {
		l.sum.Unlike++
		l.group(c)
	}
}

func (l *ledger) group(c *authz.Comparison) {
	key := groupOf(c)
	found := l.groups[key]
	if found == nil {
		of := 0
		for other := range l.groups {
			if other.Verdict == key.Verdict {
				of++
			}
		}
		if of >= maxGroups {
			l.sum.Ungrouped++
			return
		}
		found = &Group{}
		*found = key
		l.groups[key] = found
	}
	found.Count++
	found.Sample, found.Last = c.Record.ID, c.Record.Time
}

// groupOf is the group of a difference, without count. Its texts are copies: they outlive the request.
func groupOf(c *authz.Comparison) Group {
	live, candidate := &c.Record.Decision, &c.Candidate
	return Group{
		Verdict: c.Difference.Verdict,
		Route:   strings.Clone(cmp.Or(mask.Free(live.Named("route")), mask.Free(candidate.Named("route")), place(c.Record.Request))),
		Rule:    strings.Clone(cmp.Or(mask.Free(candidate.Named("rule")), mask.Free(live.Named("rule")))),
		Before:  live.Reason, After: candidate.Reason,
		Effects: strings.Join(c.Difference.Effects, ", "),
	}
}

// place is what was asked for, where no policy names a route: the rest of a path is somebody's order.
func place(req *authz.Request) string {
	if req.HTTP == nil {
		return "connection"
	}
	path, _, _ := strings.Cut(req.HTTP.Path.Raw, "?")
	first, rest, below := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if below && rest != "" {
		first += "/…"
	}
	return mask.Free(req.HTTP.Method) + " " + mask.Path("/"+first)
}

// Report sums up what was compared of the revisions of now: after a change nothing yet.
func (s *Shadow) Report() Report {
	live, candidate := s.config.Revisions()
	l := &s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	out := Report{Live: live, Candidate: candidate, Dropped: l.dropped.Load(), Verdicts: map[authz.Verdict]uint64{}}
	if (pair{live, candidate}) != l.pair || l.groups == nil {
		return out
	}
	out.Since, out.Compared, out.Failed, out.Unlike, out.Ungrouped = l.sum.Since, l.sum.Compared, l.sum.Failed, l.sum.Unlike, l.sum.Ungrouped
	maps.Copy(out.Verdicts, l.sum.Verdicts)
	for _, g := range l.groups {
		out.Groups = append(out.Groups, *g)
	}
	slices.SortFunc(out.Groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(urgency(a.Verdict), urgency(b.Verdict)), cmp.Compare(b.Count, a.Count), strings.Compare(a.Route, b.Route), strings.Compare(a.Sample, b.Sample))
	})
	return out
}

// urgency sorts what may be a breach first.
func urgency(v authz.Verdict) int {
	return slices.Index([]authz.Verdict{authz.NewlyAllowed, authz.NewlyDenied, authz.Changed, authz.Same}, v)
}
