package policy

import (
	"reflect"

	"github.com/sallyport/sallyport/pkg/authz"
)

// chooseAgain finds the snapshot that the candidate's configuration asks about a check of the past. Where
// it chooses as the recorded one did, by what is not in the record, the entrypoint that was asked tells.
func (e *edition) chooseAgain(past *Past, recorded *edition) (*snapshot, error) {
	var found []int
	for i := range e.choices {
		holds, known := e.choices[i].matchesPast(past)
		if known && !holds || recorded != nil && recorded.sameConditions(e) && recorded.choices[i].ref.String() != past.Entrypoint {
			continue
		}
		found = append(found, i)
		if known {
			break
		}
	}
	if len(found) == 0 {
		return nil, refuse(authz.Internal, "evaluate: no entrypoint is for this check")
	}
	for _, i := range found[1:] {
		if !e.choices[i].ref.Equal(e.choices[found[0]].ref) {
			return nil, &Undecided{Missing: []string{"input.attributes.contextExtensions"}, Why: "it says which entrypoint is asked"}
		}
	}
	s := e.snapshots[found[0]]
	if s == nil {
		return nil, refuse(authz.PolicyUndefined, "evaluate: %v is no rule of the policy", e.choices[found[0]].ref)
	}
	return s, nil
}

// matchesPast tells whether the conditions of a choice hold, and whether a record tells that.
func (c *choice) matchesPast(past *Past) (holds, known bool) {
	host := ""
	if past.Request.HTTP != nil {
		host = past.Request.HTTP.Host
	}
	partly := *c
	partly.ContextExtensions = nil
	if c.Host != "" && masked(host) {
		partly.Host = ""
	}
	holds = partly.matches(past.Request)
	return holds, !holds || len(c.ContextExtensions) == 0 && partly.Host == c.Host
}

// sameConditions tells whether two configurations choose entrypoints by the same conditions.
func (e *edition) sameConditions(other *edition) bool {
	if len(e.choices) != len(other.choices) {
		return false
	}
	for i := range e.choices {
		one, two := e.choices[i].Entrypoint, other.choices[i].Entrypoint
		if one.Host != two.Host || one.Network != two.Network || !reflect.DeepEqual(one.ContextExtensions, two.ContextExtensions) {
			return false
		}
	}
	return true
}
