package replay

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
)

// A Verdict is what a replay says of a decision: those of [authz.Compare], and that it cannot tell.
type Verdict = authz.Verdict

// CannotTell is the verdict on a decision of which the record does not tell enough.
const CannotTell Verdict = "undecided"

// verdicts are those that are shown, in the order of importance.
func verdicts() []Verdict {
	return []Verdict{authz.NewlyAllowed, authz.NewlyDenied, authz.Changed, CannotTell}
}

// A Result is what came of a replay. Its JSON is stable: members may be added, and none changes its
// meaning while version is 1.
type Result struct {
	Version   int                    `json:"version"`   // 1
	Decisions int64                  `json:"decisions"` // in the log
	Replayed  int64                  `json:"replayed"`  // of them, those that a policy made
	Apart     map[authz.Reason]int64 `json:"apart"`     // the others, by reason: they would be the same with any policy
	First     time.Time              `json:"first"`     // the time of the first decision
	Last      time.Time              `json:"last"`
	Revisions []Revision             `json:"revisions"` // that made the decisions, most first
	Torn      int64                  `json:"torn"`      // files whose last line was cut off

	Unfit string `json:"unfit,omitempty"` // why no conclusion can be drawn; then there are no groups
	Proof *Proof `json:"proof"`           // null: there was no recorded policy, and nothing is proved

	Same         int64   `json:"same"`
	NewlyAllowed int64   `json:"newly_allowed"`
	NewlyDenied  int64   `json:"newly_denied"`
	Changed      int64   `json:"changed"`
	Undecided    int64   `json:"undecided"`
	Groups       []Group `json:"groups"` // newly allowed, newly denied, changed, undecided; of each the most frequent first

	// Beyond are the decisions that are in no group, because there are too many, by verdict.
	Beyond map[Verdict]int64 `json:"beyond,omitempty"`
}

// A Revision is one of the policies that made the records.
type Revision struct {
	Revision  string `json:"revision"`
	Decisions int64  `json:"decisions"`
	Covered   bool   `json:"covered"` // the recorded policy was given
}

// A Group is decisions that differ in the same way.
type Group struct {
	Verdict   Verdict    `json:"verdict"`
	Pattern   string     `json:"pattern"`   // method and route
	Principal string     `json:"principal"` // see [history.Record.Principal]
	Before    Outcome    `json:"before"`
	After     *Outcome   `json:"after"`               // null: undecided
	Effects   []string   `json:"effects,omitempty"`   // what changed, by name
	Undecided *Undecided `json:"undecided,omitempty"` // what the records lack
	Count     int64      `json:"count"`
	Share     float64    `json:"share"` // of the replayed decisions, 0 to 1
	Sample    Sample     `json:"sample"`
}

// An Outcome is what was decided, and by what.
type Outcome struct {
	Reason authz.Reason `json:"reason"`
	Status int          `json:"status,omitempty"` // of a denial
	Rule   string       `json:"rule,omitempty"`   // that decided, where the policy names it
}

// A Sample is one decision of a group: the earliest.
type Sample struct {
	ID           string    `json:"decision_id"`
	Time         time.Time `json:"timestamp"`
	Method       string    `json:"method"`
	Host         string    `json:"host"`
	Path         string    `json:"path"`
	Principal    string    `json:"principal"`
	DetailBefore string    `json:"detail_before"` // why, in the policy's words
	DetailAfter  string    `json:"detail_after"`
}

func sampleOf(r *history.Record) Sample {
	return Sample{ID: r.ID, Time: r.Time, Method: r.Method, Host: r.Host, Path: r.Path, Principal: r.Principal(), DetailBefore: r.Detail}
}

func (s *Sample) compare(other *Sample) int {
	return cmp.Or(s.Time.Compare(other.Time), strings.Compare(s.ID, other.ID))
}

// A tally is what one worker has counted.
type tally struct {
	seen        int64
	first, last time.Time
	apart       map[authz.Reason]int64
	revisions   map[string]int64
	proof       Proof
	counts      map[Verdict]int64
	beyond      map[Verdict]int64
	groups      map[groupKey]*Group
	most        int // groups
}

// A groupKey is what the decisions of a group have in common.
type groupKey struct {
	verdict            Verdict
	pattern, principal string
	before, after      Outcome
	what               string
}

func newTally(most int) *tally {
	return &tally{
		apart: map[authz.Reason]int64{}, revisions: map[string]int64{}, counts: map[Verdict]int64{},
		beyond: map[Verdict]int64{}, groups: map[groupKey]*Group{}, most: most,
	}
}

func (t *tally) see(r *history.Record) {
	t.seen++
	if t.first.IsZero() || r.Time.Before(t.first) {
		t.first = r.Time
	}
	if r.Time.After(t.last) {
		t.last = r.Time
	}
	if byPolicy(r) {
		t.revisions[r.Revision]++
	}
}

func (t *tally) compared(r *history.Record, d authz.Difference, after answer) {
	if d.Verdict == authz.Same {
		t.counts[authz.Same]++
		return
	}
	outcome := Outcome{Reason: after.Reason, Status: after.Status}
	outcome.Rule, _ = after.given.Metadata["rule"].(string)
	g := Group{Verdict: d.Verdict, After: &outcome, Effects: d.Effects, Sample: sampleOf(r)}
	g.Sample.DetailAfter = after.Detail
	t.count(r, &g, strings.Join(d.Effects, "\x00"))
}

func (t *tally) undecided(r *history.Record, u *Undecided) {
	t.count(r, &Group{Verdict: CannotTell, Undecided: u, Sample: sampleOf(r)}, u.Error())
}

// count adds a decision to its group.
func (t *tally) count(r *history.Record, g *Group, what string) {
	g.Pattern, g.Principal, g.Count = r.Pattern(), g.Sample.Principal, 1
	g.Before = Outcome{Reason: r.Reason, Status: r.Status, Rule: r.Rule}
	t.counts[g.Verdict]++
	t.add(g, what)
}

func (t *tally) add(g *Group, what string) {
	key := groupKey{verdict: g.Verdict, pattern: g.Pattern, principal: g.Principal, before: g.Before, what: what}
	if g.After != nil {
		key.after = *g.After
	}
	t.put(key, g)
}

func (t *tally) put(key groupKey, g *Group) {
	had := t.groups[key]
	switch {
	case had == nil && len(t.groups) >= t.most:
		t.beyond[key.verdict] += g.Count
	case had == nil:
		t.groups[key] = g
	default:
		had.Count += g.Count
		if g.Sample.compare(&had.Sample) < 0 {
			had.Sample = g.Sample
		}
	}
}

func (t *tally) merge(other *tally) {
	t.seen += other.seen
	if t.first.IsZero() || !other.first.IsZero() && other.first.Before(t.first) {
		t.first = other.first
	}
	if other.last.After(t.last) {
		t.last = other.last
	}
	addAll(t.apart, other.apart)
	addAll(t.revisions, other.revisions)
	addAll(t.counts, other.counts)
	addAll(t.beyond, other.beyond)
	t.proof.Reproduced += other.proof.Reproduced
	t.proof.Unproved += other.proof.Unproved
	t.proof.Differing += other.proof.Differing
	t.proof.First = firsts(append(t.proof.First, other.proof.First...))
	for key, g := range other.groups {
		t.put(key, g)
	}
}

func addAll[K comparable](to, from map[K]int64) {
	for key, n := range from {
		to[key] += n
	}
}

func (t *tally) result(config Config) *Result {
	r := &Result{
		Version: 1, Decisions: t.seen, Apart: t.apart, First: t.first, Last: t.last, Groups: []Group{}, Revisions: []Revision{},
		Same: t.counts[authz.Same], NewlyAllowed: t.counts[authz.NewlyAllowed], NewlyDenied: t.counts[authz.NewlyDenied],
		Changed: t.counts[authz.Changed], Undecided: t.counts[CannotTell], Beyond: t.beyond,
	}
	for name, n := range t.revisions {
		r.Replayed += n
		r.Revisions = append(r.Revisions, Revision{name, n, config.Recorded[name] != nil})
	}
	slices.SortFunc(r.Revisions, func(one, other Revision) int {
		return cmp.Or(cmp.Compare(other.Decisions, one.Decisions), strings.Compare(one.Revision, other.Revision))
	})
	if len(config.Recorded) > 0 {
		r.Proof = &t.proof
		r.Proof.Revisions = slices.Sorted(maps.Keys(config.Recorded))
		if r.Proof.First == nil {
			r.Proof.First = []Mismatch{}
		}
		r.Unfit = r.unfit()
	}
	if r.Unfit != "" {
		r.Same, r.NewlyAllowed, r.NewlyDenied, r.Changed, r.Undecided, r.Beyond = 0, 0, 0, 0, 0, nil
		return r
	}
	for _, g := range t.groups {
		g.Share = float64(g.Count) / float64(r.Replayed)
		r.Groups = append(r.Groups, *g)
	}
	slices.SortFunc(r.Groups, func(one, other Group) int {
		return cmp.Or(cmp.Compare(slices.Index(verdicts(), one.Verdict), slices.Index(verdicts(), other.Verdict)),
			cmp.Compare(other.Count, one.Count), one.Sample.compare(&other.Sample))
	})
	return r
}

// unfit says why the log, or what was said to be its policy, is no ground for a conclusion.
func (r *Result) unfit() string {
	covered := slices.ContainsFunc(r.Revisions, func(rev Revision) bool { return rev.Covered })
	switch {
	case r.Proof.Differing > 0:
		return "the recorded policy does not decide as recorded: the log was changed, or the policy is not the one that decided"
	case !covered && r.Replayed > 0:
		return "no record is of the recorded policy's revision"
	}
	return ""
}
