package authz

import (
	"maps"
	"slices"
	"strconv"
)

// A Verdict says how a decision differs from another about the same request, such as a candidate
// policy's from the live one's.
type Verdict string

// The verdicts, in the order in which an operator wants to hear of them.
const (
	NewlyAllowed Verdict = "newly_allowed" // what may be a breach
	NewlyDenied  Verdict = "newly_denied"  // what may be an outage
	Changed      Verdict = "changed"       // allowed or denied as before, with another effect
	Same         Verdict = "same"
)

// A Difference is between two decisions about one request.
type Difference struct {
	Verdict Verdict
	// Effects are the names of what differs where the verdict is [Changed], such as "status" or
	// "request header x-user"; sorted, and without values, which may be credentials.
	Effects []string
}

// Compare says how after differs from before in what reaches the upstream and the caller. Reasons,
// revisions, metadata and the order of headers with different names are for the record alone, and
// make no difference.
func Compare(before, after Decision) Difference {
	switch {
	case !before.Allowed && after.Allowed:
		return Difference{Verdict: NewlyAllowed}
	case before.Allowed && !after.Allowed:
		return Difference{Verdict: NewlyDenied}
	}
	one, other := before.effects(), after.effects()
	var differ []string
	for _, name := range slices.Sorted(maps.Keys(one)) {
		if !slices.Equal(one[name], other[name]) {
			differ = append(differ, name)
		}
	}
	for name := range other {
		if _, both := one[name]; !both {
			differ = append(differ, name)
		}
	}
	if len(differ) == 0 {
		return Difference{Verdict: Same}
	}
	slices.Sort(differ)
	return Difference{Verdict: Changed, Effects: differ}
}

// effects are the values under each name that the decision changes or brings.
func (d Decision) effects() map[string][]string {
	all := map[string][]string{}
	add := func(kind, name string, value ...string) {
		all[kind+name] = append(all[kind+name], value...)
	}
	if !d.Allowed {
		add("status", "", strconv.Itoa(d.Status))
		add("body", "", d.Body)
		add("scopes", "", slices.Sorted(slices.Values(d.Scopes))...)
		if d.StepUp != nil {
			add("acr values", "", d.StepUp.ACRValues...)
			if d.StepUp.MaxAge != nil {
				add("max age", "", strconv.Itoa(*d.StepUp.MaxAge))
			}
		}
		for _, h := range d.Denial {
			add("response header ", h.Name, h.Value)
		}
		return all
	}
	for _, h := range d.Upstream.SetHeaders {
		add("request header ", h.Name, "set", h.Value)
	}
	for _, name := range d.Upstream.RemoveHeaders {
		add("request header ", name, "removed")
	}
	for _, p := range d.Upstream.SetQuery {
		add("query parameter ", p.Name, "set", p.Value)
	}
	for _, name := range d.Upstream.RemoveQuery {
		add("query parameter ", name, "removed")
	}
	for _, h := range d.Response {
		add("response header ", h.Name, h.Value)
	}
	return all
}
