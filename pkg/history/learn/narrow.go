package learn

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A step narrows a rule by one condition that all requests which it was made of meet.
type step struct {
	kind stepKind
	name string // of a claim or of a field of the body
}

type stepKind int

// The kinds of steps, in the order in which they are tried.
const (
	byRoles   stepKind = iota // one of the roles of those who were allowed
	byRole                    // another role that all have
	byClaim                   // one of the values that a claim had
	byBody                    // a field of the body is within what it was
	bySubject                 // one of those who were allowed
	byPaths                   // no parameters in the path
)

func (p *profile) has(s step) bool { return slices.Contains(p.narrowed, s) }

// A breach is a request that a rule would allow and that was denied, or that the recorded policy denies.
type breach struct {
	of   *profile
	id   string // of the decision; of a supposed request, that of the sample
	req  *authz.Request
	whom authz.Identity
}

// narrow takes the first step that keeps each request out. The requests of a rule that has none are told
// apart more finely.
func (l *learner) narrow(breaches []breach) error {
	for _, b := range breaches {
		switch {
		case b.of == nil:
			return fmt.Errorf("learn: the proposal allows decision %s, which was denied, and does not say by which rule", b.id)
		case b.of.lost != "" || slices.ContainsFunc(b.of.narrowed, func(s step) bool { return b.of.excludes(s, b) }):
			continue
		}
		steps := b.of.steps()
		i := slices.IndexFunc(steps, func(s step) bool { return b.of.excludes(s, b) })
		if i < 0 {
			l.split(b.of, b.id)
			continue
		}
		b.of.narrowed = append(b.of.narrowed, steps[i])
	}
	return nil
}

// steps are those that can be taken: that hold for all requests of the profile.
func (p *profile) steps() []step {
	if p.method == "" {
		return nil
	}
	var out []step
	if p.roleless == 0 && len(p.roles) > 0 {
		out = append(out, step{kind: byRoles})
	}
	for _, name := range slices.Sorted(maps.Keys(p.listed)) {
		if p.listed[name] == p.count && !slices.ContainsFunc(p.narrowed, func(s step) bool { return s.kind == byRole }) {
			out = append(out, step{byRole, name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.claims)) {
		if c := p.claims[name]; c.worded == p.count && !c.texts.full {
			out = append(out, step{byClaim, name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.body)) {
		if p.body[name].bounds(p.count) != nil {
			out = append(out, step{byBody, name})
		}
	}
	if len(p.subjects.values) > 0 && !p.subjects.full && p.subjectless == 0 {
		out = append(out, step{kind: bySubject})
	}
	if !p.paths.full && strings.Contains(p.path, anySegment) && !strings.Contains(p.path, ownSegment) {
		out = append(out, step{kind: byPaths})
	}
	return out
}

// excludes tells whether a step keeps a request out.
func (p *profile) excludes(s step, b breach) bool {
	var token authz.Token
	if slots := p.caller.tokens(); len(slots) > 0 {
		token = b.whom.Tokens[slots[0]]
	}
	switch s.kind {
	case byRoles:
		for role := range rolesOf(token.Claims) {
			if p.roles[role] > 0 {
				return false
			}
		}
		return true
	case byRole:
		return !agrees(token.Claims["roles"], map[string]bool{s.name: true})
	case byClaim:
		return !agrees(token.Claims[s.name], p.claims[s.name].texts.values)
	case byBody:
		return !p.body[s.name].holds(b.req, s.name, p.count)
	case bySubject:
		return !agrees(token.Claims["sub"], p.subjects.values)
	}
	return !p.paths.values[strings.Join(b.req.HTTP.Path.Segments, "/")]
}

// agrees is data.sallyport.tokens.agree for texts.
func agrees(claim any, wanted map[string]bool) bool {
	switch claim := claim.(type) {
	case string:
		return wanted[claim]
	case []any:
		return slices.ContainsFunc(claim, func(item any) bool { text, ok := item.(string); return ok && wanted[text] })
	}
	return false
}

// holds is data.sallyport.body.within for one field.
func (c *column) holds(req *authz.Request, name string, all int) bool {
	body := map[string]any{}
	if req.HTTP == nil || decode(json.RawMessage(req.HTTP.Body), &body) != nil {
		return false
	}
	switch value := body[name].(type) {
	case json.Number:
		float, err := value.Float64()
		return err == nil && c.numbers == all && float >= c.least && float <= c.most
	case string:
		return c.worded == all && c.texts.values[value]
	}
	return false
}
