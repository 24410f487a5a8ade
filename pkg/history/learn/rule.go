package learn

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A rule is one of the shipped policy, and the profile that it was made of.
type rule struct {
	stated map[string]any // as in policy.data
	of     []*profile     // more than one where methods were put together
}

// rules are those of a profile: none where it was given up, and several where its paths stand alone.
func (l *learner) rules(p *profile) []rule {
	if p.lost != "" {
		return nil
	}
	if p.method == "" {
		return []rule{{map[string]any{"principals": texts(p.principals.sorted()), "ports": []any{json.Number(strconv.Itoa(int(p.port)))}}, []*profile{p}}}
	}
	paths := []string{p.path}
	if p.has(step{kind: byPaths}) {
		paths = nil
		for _, path := range p.paths.sorted() {
			paths = append(paths, "/"+path)
		}
	}
	var out []rule
	for _, path := range paths {
		stated := l.stated(p)
		stated["path"] = path
		out = append(out, rule{stated, []*profile{p}})
	}
	return out
}

// stated are the conditions of a rule, but for its path.
func (l *learner) stated(p *profile) map[string]any {
	stated := map[string]any{"methods": []any{p.method}}
	if tokens := p.caller.tokens(); len(tokens) > 0 {
		stated["tokens"] = texts(tokens)
	} else if !p.caller.certified {
		stated["public"] = true
	}
	if len(p.scopes) > 0 {
		stated["scopes"] = texts(slices.Sorted(maps.Keys(p.scopes)))
	}
	if role := l.commonRole(p); role != "" {
		stated["roles"] = []any{role}
	} else if p.has(step{kind: byRoles}) {
		stated["roles"] = texts(slices.Sorted(maps.Keys(p.roles)))
	}
	if p.caller.certified && !p.principals.full {
		stated["principals"] = texts(p.principals.sorted())
	}
	claims, body := map[string]any{}, map[string]any{}
	if p.isOnesOwn() {
		claims["sub"] = texts(p.subjects.sorted())
	}
	for _, s := range p.narrowed {
		switch s.kind {
		case byRole:
			claims["roles"] = []any{s.name}
		case byClaim:
			claims[s.name] = texts(p.claims[s.name].texts.sorted())
		case bySubject:
			claims["sub"] = texts(p.subjects.sorted())
		case byBody:
			body[s.name] = p.body[s.name].bounds(p.count)
		}
	}
	if len(claims) > 0 {
		stated["claims"] = claims
	}
	if len(body) > 0 {
		stated["body"] = body
	}
	return stated
}

// isOnesOwn tells whether the path names one of those who were allowed: what is there is nobody else's.
func (p *profile) isOnesOwn() bool {
	return !p.subjects.full && slices.ContainsFunc(strings.Split(p.path, "/"), func(segment string) bool { return p.subjects.values[segment] })
}

// commonRole is the role that all have; of several, the one that the fewest others have.
func (l *learner) commonRole(p *profile) string {
	best := ""
	for _, role := range slices.Sorted(maps.Keys(p.roles)) {
		if p.roles[role] == p.count && (best == "" || l.seen.roles[role] < l.seen.roles[best]) {
			best = role
		}
	}
	return best
}

// bounds are what the values of a field of the body had in common, if all requests had it; nil: nothing.
func (c *column) bounds(all int) map[string]any {
	switch {
	case c.count != all:
		return nil
	case c.numbers == all:
		return map[string]any{"min": c.min, "max": c.max}
	case c.worded == all && !c.texts.full:
		return map[string]any{"in": texts(c.texts.sorted())}
	}
	return nil
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, text := range list {
		out[i] = text
	}
	return out
}

// all are the rules of all profiles.
func (l *learner) all() []rule {
	var out []rule
	for _, p := range l.profiles {
		out = append(out, l.rules(p)...)
	}
	return out
}

// merged are the rules with methods put together where nothing else differs.
func merged(rules []rule) []rule {
	var out []rule
	for _, r := range rules {
		same := slices.IndexFunc(out, func(o rule) bool {
			return r.stated["methods"] != nil && reflect.DeepEqual(less(o.stated), less(r.stated))
		})
		if same < 0 {
			out = append(out, r)
			continue
		}
		methods := append(slices.Clone(list(out[same].stated["methods"])), list(r.stated["methods"])...)
		slices.SortFunc(methods, func(a, b any) int { return strings.Compare(a.(string), b.(string)) }) //nolint:errcheck,forcetypeassert // they are texts
		stated := maps.Clone(out[same].stated)
		stated["methods"] = slices.Compact(methods)
		out[same] = rule{stated, append(slices.Clone(out[same].of), r.of...)}
	}
	return out
}

func less(stated map[string]any) map[string]any {
	out := maps.Clone(stated)
	delete(out, "methods")
	return out
}

func list(value any) []any {
	items, _ := value.([]any)
	return items
}

func (r *rule) isNetwork() bool { return r.stated["path"] == nil }

// data is the rules as policy.data has them, and the place of each, as routes[3].
func data(rules []rule) (map[string]any, map[string]*rule) {
	routes, network, names := []any{}, []any{}, map[string]*rule{}
	for i := range rules {
		if rules[i].isNetwork() {
			names[named("network", len(network))] = &rules[i]
			network = append(network, rules[i].stated)
			continue
		}
		names[named("routes", len(routes))] = &rules[i]
		routes = append(routes, rules[i].stated)
	}
	out := map[string]any{"routes": routes}
	if len(network) > 0 {
		out["network"] = network
	}
	return out, names
}

// decisions is how many allowed requests a rule was made of.
func (r *rule) decisions() int {
	n := 0
	for _, p := range r.of {
		n += p.count
	}
	return n
}

func compareRules(a, b rule) int {
	return cmp.Compare(b.decisions(), a.decisions())
}
