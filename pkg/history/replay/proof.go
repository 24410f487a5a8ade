package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
	"github.com/sallyport/sallyport/pkg/history"
)

// maxMismatches is how many records that differ are named.
const maxMismatches = 10

// A Proof is what came of having the recorded policies decide again.
type Proof struct {
	Revisions  []string   `json:"revisions"`  // of the recorded policies
	Reproduced int64      `json:"reproduced"` // decisions that came out as recorded
	Unproved   int64      `json:"unproved"`   // those whose records have not all that the policy read: masked, too large
	Differing  int64      `json:"differing"`  // those that came out otherwise
	First      []Mismatch `json:"first"`      // of those that differ, in the order of time; 10 at most
}

// A Mismatch is a record that its own policy does not confirm.
type Mismatch struct {
	Sample
	Place string `json:"place"` // in the log: FILE:LINE
	What  string `json:"what"`  // that differs
}

// prove has the record's own policy decide again. Where it confirms the record, its answer takes the
// place of the record's, since a record has not all of an answer.
func (w *worker) prove(ctx context.Context, at history.Place, r *history.Record) (before authz.Decision, proved bool, err error) {
	recorded := w.Recorded[r.Revision]
	if recorded == nil {
		return before, false, nil
	}
	given, err := recorded.Again(ctx, r)
	if _, ok := errors.AsType[*Undecided](err); ok {
		w.proof.Unproved++
		return before, false, nil
	}
	if err := fatal(err); err != nil {
		return before, false, err
	}
	again := complete(ctx, r, given, err)
	if what := differs(r, again); what != "" {
		w.mismatch(Mismatch{Sample: sampleOf(r), Place: at.String(), What: what})
		return before, false, nil
	}
	w.proof.Reproduced++
	return again.Decision, true, nil
}

// differs says what of a record its own policy does not confirm; "" where it confirms all.
func differs(r *history.Record, again answer) string {
	switch {
	case r.Allowed != again.Allowed:
		return fmt.Sprintf("recorded as %s, decided again as %s", word(r.Allowed), word(again.Allowed))
	case r.Reason != again.Reason:
		return fmt.Sprintf("recorded with the reason %s, decided again with %s", r.Reason, again.Reason)
	case !r.Allowed && r.Status != again.Status:
		return fmt.Sprintf("recorded with status %d, decided again with %d", r.Status, again.Status)
	case !r.Allowed:
		return differ("response headers", r, unchallenged(kept(r.Answer.ResponseHeaders)), unchallenged(masked(again.Denial)))
	}
	set := slices.DeleteFunc(kept(r.Answer.SetHeaders), func(h authz.Header) bool {
		return hasToken(r) && !touches(again.Upstream, h.Name)
	})
	for _, part := range []struct {
		name      string
		had, made []authz.Header
	}{
		{"request headers", set, masked(again.Upstream.SetHeaders)},
		{"removed request headers", named(common(r.Answer.RemoveHeaders, again.Upstream.RemoveHeaders)), named(again.Upstream.RemoveHeaders)},
		{"query parameters", kept(r.Answer.SetQuery), maskedQuery(again.Upstream.SetQuery)},
		{"removed query parameters", named(common(r.Answer.RemoveQuery, again.Upstream.RemoveQuery)), named(again.Upstream.RemoveQuery)},
		{"response headers", kept(r.Answer.ResponseHeaders), masked(again.Response)},
	} {
		if what := differ(part.name, r, part.had, part.made); what != "" {
			return what
		}
	}
	return ""
}

// differ compares what is recorded with what came out again. Values are not repeated: they may be secrets.
func differ(what string, r *history.Record, had, made []authz.Header) string {
	had, made = slices.Clone(had), slices.Clone(made)
	order := func(one, other authz.Header) int {
		return strings.Compare(one.Name+"\x00"+one.Value, other.Name+"\x00"+other.Value)
	}
	slices.SortFunc(had, order)
	slices.SortFunc(made, order)
	if slices.EqualFunc(had, made, func(one, other authz.Header) bool {
		withheld := len(r.Withheld) > 0 && one.Value == mask.Text
		return one.Name == other.Name && (one.Value == other.Value || withheld)
	}) {
		return ""
	}
	return fmt.Sprintf("recorded with the %s %s, decided again with other ones: %s", what, names(had), names(made))
}

func named(names []string) []authz.Header {
	out := make([]authz.Header, len(names))
	for i, name := range names {
		out[i].Name = name
	}
	return out
}

func names(headers []authz.Header) string {
	if len(headers) == 0 {
		return "(none)"
	}
	all := make([]string, len(headers))
	for i, h := range headers {
		all[i] = h.Name
	}
	return strings.Join(all, " ")
}

func word(allowed bool) string { //nolint:revive // it is what is told
	if allowed {
		return "allowed"
	}
	return "denied"
}

func (t *tally) mismatch(m Mismatch) {
	t.proof.Differing++
	t.proof.First = firsts(append(t.proof.First, m))
}

// firsts are the earliest.
func firsts(all []Mismatch) []Mismatch {
	slices.SortFunc(all, func(one, other Mismatch) int { return one.compare(&other.Sample) })
	return all[:min(len(all), maxMismatches)]
}
