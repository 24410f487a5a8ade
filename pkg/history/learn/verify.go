package learn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
)

// A question is a request and who makes it.
type question struct {
	at  time.Time
	req *authz.Request
	id  authz.Identity
}

// A Loss is what was allowed and would be denied.
type Loss struct {
	Pattern   string `json:"pattern"`
	Reason    string `json:"reason"`
	Decisions int    `json:"decisions"`
	Sample    string `json:"sample"` // the earliest decision's id
	at        *history.Record
}

// A replayed is the log, decided again.
type replayed struct {
	mu        sync.Mutex // guards what follows, while the log is read
	decisions int
	allowed   int // as before
	denied    int // as before
	skipped   map[string]int
	losses    map[[2]string]*Loss
	breaches  []breach
}

// isDenial tells whether a record shows that the policy denies. Where the server failed it does not.
func isDenial(r *history.Record) bool {
	switch r.Reason {
	case authz.PolicyDenied, authz.PolicyUndefined, authz.PolicyConflict, authz.PolicyError, authz.PolicyAnswerInvalid:
		return !r.Allowed
	}
	return false
}

// verify decides the whole log with the rules as they are.
func (l *learner) verify(ctx context.Context) (*replayed, error) {
	made, names := data(l.all())
	decide, closer, err := l.Policy(ctx, made)
	if err != nil {
		return nil, fmt.Errorf("learn: make the proposal: %w", err)
	}
	v := newReplayed()
	err = l.Read(ctx, func(r *history.Record) error {
		l.replay(ctx, v, r, decide, names)
		return nil
	})
	return v, errors.Join(err, closer())
}

func newReplayed() *replayed {
	return &replayed{skipped: map[string]int{}, losses: map[[2]string]*Loss{}}
}

// replay decides one record again.
func (l *learner) replay(ctx context.Context, v *replayed, r *history.Record, decide Decide, names map[string]*rule) {
	why := unfit(r)
	if why == "" && !r.Allowed && !isDenial(r) {
		why = "the server failed"
	}
	q, allowed, name := question{}, false, ""
	if why == "" {
		q = question{r.Time, r.Remake(), r.RemakeIdentity()}
		allowed, name = decide(ctx, q.at, q.req, q.id)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.decisions++
	switch {
	case why != "" && !r.Allowed:
		v.skipped[why]++
	case why != "":
		v.lose(r, why)
	case r.Allowed && allowed:
		v.allowed++
	case r.Allowed:
		v.lose(r, l.reason(r))
	case !allowed:
		v.denied++
	case len(v.breaches) < maxDenials && names[name] != nil:
		v.breaches = append(v.breaches, breach{names[name].of[0], r.ID, q.req, q.id})
	case len(v.breaches) < maxDenials:
		v.breaches = append(v.breaches, breach{nil, r.ID, q.req, q.id})
	}
}

// reason says why an allowed request is not in the proposal.
func (l *learner) reason(r *history.Record) string {
	who := l.caller(r)
	key := route{r.Method, r.Pattern(), who}
	if r.Method != "" {
		key.path = l.shapes.path(r, subjectOf(r, who))
	}
	switch p := l.seen.found[key]; {
	case p == nil:
		return fmt.Sprintf("there was room for %d routes", maxRules)
	case p.lost != "":
		return p.lost
	}
	return "the policy read something else than the record has"
}

func (v *replayed) lose(r *history.Record, reason string) {
	key := [2]string{r.Pattern(), reason}
	loss := v.losses[key]
	if loss == nil {
		if len(v.losses) >= maxListed {
			key = [2]string{"others", "there was room to list " + fmt.Sprint(maxListed)}
		}
		if loss = v.losses[key]; loss == nil {
			loss = &Loss{Pattern: key[0], Reason: reason}
			v.losses[key] = loss
		}
	}
	loss.Decisions++
	if loss.at == nil || earlier(r, loss.at) {
		loss.at, loss.Sample = r, r.ID
	}
}

func (v *replayed) lost() []Loss {
	var out []Loss
	for _, key := range slices.SortedFunc(maps.Keys(v.losses), func(a, b [2]string) int {
		return cmp.Or(cmp.Compare(v.losses[b].Decisions, v.losses[a].Decisions), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	}) {
		out = append(out, *v.losses[key])
	}
	return out
}
