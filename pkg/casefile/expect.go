package casefile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/pkg/authz"
)

// An Expectation is what an answer must be. What it does not mention may be anything.
type Expectation struct {
	Allowed  bool
	Status   int // 0: any
	Reason   authz.Reason
	Detail   string              // that the operator's text contains
	Body     *string             // nil: any
	Headers  map[string][]string // of an allow: set on the request; of a denial: sent to the caller. nil values: not set
	Response map[string][]string // response_headers_to_add
	Removed  []string            // request_headers_to_remove has all of these
	SetQuery map[string][]string // query_parameters_to_set
	NoQuery  []string            // query_parameters_to_remove has all of these
	Metadata map[string]any      // dynamic_metadata has all of these
	Scopes   []string            // exactly, in any order; nil: any
}

// A Difference is one thing in which the answer is not as expected.
type Difference struct {
	Field string `json:"field"`
	Want  string `json:"expected"`
	Got   string `json:"got"`
}

func (d Difference) String() string {
	return fmt.Sprintf("%s: expected %s, got %s", d.Field, d.Want, d.Got)
}

func (r *reader) expectation(node *yaml.Node) Expectation {
	var e Expectation
	seen := map[string]*yaml.Node{}
	known := fields{
		"allowed":                    func(n *yaml.Node) { e.Allowed = r.bool(n) },
		"status":                     func(n *yaml.Node) { e.Status = r.integer(n, 100, 599) },
		"reason":                     func(n *yaml.Node) { e.Reason = authz.Reason(r.text(n)) },
		"detail":                     func(n *yaml.Node) { e.Detail = r.text(n) },
		"body":                       func(n *yaml.Node) { body := r.text(n); e.Body = &body },
		"headers":                    func(n *yaml.Node) { e.Headers = r.values(n, strings.ToLower) },
		"response_headers_to_add":    func(n *yaml.Node) { e.Response = r.values(n, strings.ToLower) },
		"request_headers_to_remove":  func(n *yaml.Node) { e.Removed = r.texts(n) },
		"query_parameters_to_set":    func(n *yaml.Node) { e.SetQuery = r.values(n, strings.Clone) },
		"query_parameters_to_remove": func(n *yaml.Node) { e.NoQuery = r.texts(n) },
		"dynamic_metadata":           func(n *yaml.Node) { e.Metadata = r.object(n) },
		"scopes":                     func(n *yaml.Node) { e.Scopes = r.texts(n) },
	}
	for name, read := range known {
		known[name] = func(n *yaml.Node) { seen[name] = n; read(n) }
	}
	r.fields(node, known)
	if seen["allowed"] == nil {
		r.add(node, "allowed: is missing; say true or false")
		return e
	}
	// What an answer of the other kind does not have would never be compared.
	foreign, kind := []string{"status", "body", "scopes"}, "an allow has none"
	if !e.Allowed {
		foreign, kind = []string{"response_headers_to_add", "request_headers_to_remove", "query_parameters_to_set", "query_parameters_to_remove"}, "a denial has none"
	}
	for _, name := range foreign {
		if seen[name] != nil {
			r.add(seen[name], "%s: %s", name, kind)
		}
	}
	return e
}

// values reads a mapping of one text or several each; null is none.
func (r *reader) values(node *yaml.Node, key func(string) string) map[string][]string {
	out := map[string][]string{}
	r.pairs(node, func(name, value *yaml.Node) {
		if isNull(value) {
			out[key(name.Value)] = nil
			return
		}
		out[key(name.Value)] = r.texts(value)
	})
	return out
}

// compare lists the differences in the order in which they matter. An answer of the other kind has
// nothing else to compare but why it came.
func (e Expectation) compare(d authz.Decision) []Difference {
	var out []Difference
	differ := func(field, want, got string) { out = append(out, Difference{field, want, got}) }
	if e.Allowed != d.Allowed {
		got := "true"
		if !d.Allowed {
			got = fmt.Sprintf("false (%d %s)", d.Status, d.Reason)
		}
		differ("allowed", strconv.FormatBool(e.Allowed), got)
	}
	if e.Status != 0 && e.Status != d.Status {
		differ("status", strconv.Itoa(e.Status), status(d))
	}
	if e.Reason != "" && e.Reason != d.Reason {
		differ("reason", string(e.Reason), string(d.Reason))
	}
	if !strings.Contains(d.Detail, e.Detail) {
		differ("detail", "text with "+strconv.Quote(e.Detail), strconv.Quote(d.Detail))
	}
	if e.Allowed != d.Allowed {
		return out
	}
	if e.Body != nil && *e.Body != d.Body {
		differ("body", strconv.Quote(*e.Body), strconv.Quote(d.Body))
	}
	out = append(out, e.compareChanges(d)...)
	if want, got := slices.Sorted(slices.Values(e.Scopes)), slices.Sorted(slices.Values(d.Scopes)); e.Scopes != nil && !slices.Equal(want, got) {
		differ("scopes", asJSON(want), asJSON(got))
	}
	return out
}

// compareChanges looks at headers, query and metadata.
func (e Expectation) compareChanges(d authz.Decision) []Difference {
	headers := d.Denial
	if d.Allowed {
		headers = d.Upstream.SetHeaders
	}
	out := compareValues("headers", e.Headers, HeaderValues(headers))
	out = append(out, compareValues("response_headers_to_add", e.Response, HeaderValues(d.Response))...)
	out = append(out, compareValues("query_parameters_to_set", e.SetQuery, ParameterValues(d.Upstream.SetQuery))...)
	out = append(out, compareNames("request_headers_to_remove", e.Removed, d.Upstream.RemoveHeaders)...)
	out = append(out, compareNames("query_parameters_to_remove", e.NoQuery, d.Upstream.RemoveQuery)...)
	for _, name := range slices.Sorted(maps.Keys(e.Metadata)) {
		if want, got := asJSON(e.Metadata[name]), asJSON(d.Metadata[name]); want != got {
			out = append(out, Difference{"dynamic_metadata." + name, want, got})
		}
	}
	return out
}

func status(d authz.Decision) string {
	if d.Allowed {
		return "an allow"
	}
	return strconv.Itoa(d.Status)
}

// HeaderValues are the values of each header, by name.
func HeaderValues(headers []authz.Header) map[string][]string {
	out := map[string][]string{}
	for _, h := range headers {
		out[h.Name] = append(out[h.Name], h.Value)
	}
	return out
}

// ParameterValues are the values of each query parameter, by name.
func ParameterValues(query []authz.Parameter) map[string][]string {
	out := map[string][]string{}
	for _, p := range query {
		out[p.Name] = append(out[p.Name], p.Value)
	}
	return out
}

func compareValues(field string, want, got map[string][]string) []Difference {
	var out []Difference
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(want[name], got[name]) {
			out = append(out, Difference{field + "." + name, oneOrMore(want[name]), oneOrMore(got[name])})
		}
	}
	return out
}

func oneOrMore(values []string) string {
	switch len(values) {
	case 0:
		return "none"
	case 1:
		return strconv.Quote(values[0])
	}
	return asJSON(values)
}

func compareNames(field string, want, got []string) []Difference {
	missing := slices.DeleteFunc(slices.Clone(want), func(name string) bool {
		return slices.Contains(got, name) || slices.Contains(got, strings.ToLower(name))
	})
	if len(missing) == 0 {
		return nil
	}
	return []Difference{{field, "with " + asJSON(missing), asJSON(slices.Sorted(slices.Values(got)))}}
}

// asJSON writes a value in one form, with numbers as they are written.
func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return "a value that JSON cannot write"
	}
	if string(text) == "null" {
		return "none"
	}
	return string(text)
}
