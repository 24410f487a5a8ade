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
	"github.com/sallyport/sallyport/pkg/history/replay"
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
	unsure    int // denied, and the record does not tell whether it still would be
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
	proposal, err := l.Make(ctx, made)
	if err != nil {
		return nil, fmt.Errorf("learn: make the proposal: %w", err)
	}
	v := newReplayed()
	err = l.Read(ctx, func(r *history.Record) error {
		return l.replay(ctx, v, r, proposal, names)
	})
	return v, errors.Join(err, proposal.Close())
}

func newReplayed() *replayed {
	return &replayed{skipped: map[string]int{}, losses: map[[2]string]*Loss{}}
}

// replay decides one record again.
func (l *learner) replay(ctx context.Context, v *replayed, r *history.Record, proposal *Policy, names map[string]*rule) error {
	why := unfit(r)
	if why == "" && !r.Allowed && !isDenial(r) {
		why = "the server failed"
	}
	allowed, name, unsure := false, "", ""
	if why == "" {
		var err error
		if allowed, name, unsure, err = l.again(ctx, proposal, r); err != nil {
			return err
		}
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
		v.lose(r, cmp.Or(l.givenUp(r), unsure, "the rule asks for something that the record does not have"))
	case !allowed && unsure != "":
		v.unsure++
	case !allowed:
		v.denied++
	default:
		v.breach(r, names[name])
	}
	return nil
}

// again decides a record again. Where it does not tell enough, the answer is that to a request with what it
// has. An allow is certain then too, since no condition of a rule asks for something to be missing; of a
// denial, unsure says what is not known. Without the recorded policy nobody knows what was on a request
// beside what the record has, and a record without masks is taken to have all.
func (l *learner) again(ctx context.Context, proposal *Policy, r *history.Record) (allowed bool, rule, unsure string, err error) {
	allowed, rule, err = proposal.Again(ctx, r)
	undecided, ok := errors.AsType[*replay.Undecided](err)
	if !ok {
		return allowed, rule, "", err
	}
	allowed, rule = proposal.Decide(ctx, r.Time, r.Remake(), r.RemakeIdentity())
	if !allowed && (l.trusts() || len(r.Masked)+len(r.Withheld) > 0) {
		unsure = "the record does not tell enough: " + undecided.Error()
	}
	return allowed, rule, unsure, nil
}

// breach notes a denied record that would be allowed.
func (v *replayed) breach(r *history.Record, by *rule) {
	if len(v.breaches) >= maxDenials {
		return
	}
	b := breach{id: r.ID, req: r.Remake(), whom: r.RemakeIdentity()}
	if by != nil {
		b.of = by.of[0]
	}
	v.breaches = append(v.breaches, b)
}

// givenUp says why there is no rule for a record; "" where there is one.
func (l *learner) givenUp(r *history.Record) string {
	if p := l.seen.found[l.look(r).key]; p != nil {
		return p.lost
	}
	return fmt.Sprintf("there was room for %d routes", maxRules)
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
