package learn

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
)

// How finely the requests of a route are told apart. One rule for all of them is best; where it cannot keep
// out what was denied, they get one for each set of grants and claims; and then one for each user, workload,
// path and body.
const (
	together = iota
	byGrants
	each
)

// base is what a record's rule is about, together with all like it.
func (l *learner) base(r *history.Record) route {
	who := l.caller(r)
	key := route{method: r.Method, path: r.Pattern(), caller: who}
	if r.Method != "" {
		key.path = l.shapes.path(r, subjectOf(r, who))
	}
	return key
}

// key is what it is about, as finely as it must be.
func (l *learner) key(s *sight) route {
	key, level := s.base, l.splits[s.base]
	if level == together || s.Method == "" {
		return key
	}
	key.signature = signature(s.token)
	if level == each {
		key.path = "/" + strings.Join(segmentsOf(s.Record), "/")
		key.signature += fmt.Sprintf("\x00%s\x00%s\x00%s", subjectOf(s.Record, key.caller), s.Source.Principal, s.Body())
	}
	return key
}

// signature is the scopes, roles and other claims of a token.
func signature(token authz.Token) string {
	claims := maps.Clone(token.Claims)
	granted := [2][]string{slices.Sorted(maps.Keys(scopesOf(claims))), slices.Sorted(maps.Keys(rolesOf(claims)))}
	maps.DeleteFunc(claims, func(name string, _ any) bool { return slices.Contains(fleeting, name) })
	text, err := json.Marshal([]any{granted, claims})
	if err != nil {
		return "" // of what was JSON nothing fails
	}
	return string(text)
}

// split has the requests of a rule told apart more finely, or gives it up where they cannot be.
func (l *learner) split(p *profile, id string) {
	p.lost = fmt.Sprintf("nothing in the record sets it apart from what was denied (%s)", id)
	if l.splits[p.of] < each && p.method != "" {
		l.splits[p.of]++
		l.stale = true
	}
}

// profileAgain reads the log anew, with requests told apart as they must be.
func (l *learner) profileAgain(ctx context.Context) error {
	l.stale, l.profiles, l.seen, l.unlike, l.elsewhere = false, nil, newSeen(), 0, 0
	return l.profile(ctx)
}
