package policy

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/policies"
)

// paths lists what is read: "*" stands for all below, nothing for the value alone.
func (p *part) paths() []string {
	if p.whole {
		return []string{"*"}
	}
	if len(p.members) == 0 {
		return []string{""}
	}
	var found []string
	for _, m := range p.members {
		for _, below := range m.part.paths() {
			found = append(found, strings.TrimSuffix(m.name+"."+below, "."))
		}
	}
	slices.Sort(found)
	return found
}

func TestReads(t *testing.T) {
	tests := []struct {
		name, rules string
		want        []string
	}{
		{"nothing", `allow := true`, []string{""}},
		{"a path", `allow if input.attributes.request.http.method == "GET"`, []string{"attributes.request.http.method.*"}},
		{"a condition", `allow if input.attributes.request.http`, []string{"attributes.request.http"}},
		{"a condition and a path", "allow if input.source.port == 1\n\nallow if input.source", []string{"source.port.*"}},
		{"a path and all above it", "allow if input.source.port == 1\n\nallow if count(input.source) == 1", []string{"source.*"}},
		{"an index", `allow if input.parsed_path[0] == "a"`, []string{"parsed_path.*"}},
		{"a computed key", `allow if input.tokens[input.parsed_path[0]].status == "valid"`, []string{"parsed_path.*", "tokens.*"}},
		{"an import", "import input.attributes.request.http as h\n\nallow if h.host == \"a\"", []string{"attributes.request.http.host.*"}},
		{"an alias", "allow if {\n\th := input.attributes.request.http\n\th.host == \"a\"\n}", []string{"attributes.request.http.host.*"}},
		{"an alias that is passed on", "allow if {\n\th := input.attributes.request.http\n\tcount(h) == h.size\n}", []string{"attributes.request.http.*"}},
		{"a rule as an alias", "h := input.attributes.request.http\n\nallow if h.host == \"a\"", []string{"attributes.request.http.host.*"}},
		{"a rule as an alias with conditions", "h := x if {\n\tinput.path_ambiguous\n\tx := input.attributes.request.http\n}\n\nallow if h.host == \"a\"", []string{"attributes.request.http.host.*", "path_ambiguous"}},
		{"a rule as an alias, and all of it", "h := input.attributes.request.http\n\nallow if {\n\th.host == \"a\"\n\tcount(h) > 1\n}", []string{"attributes.request.http.*"}},
		{"a rule as an alias in its package", "o.h := input.attributes.request.http\n\nallow if {\n\to.h.host == \"a\"\n\tcount(o) > 0\n}", []string{"attributes.request.http.*"}},
		{"a rule as an alias with a computed key", "h := input.attributes.request.http\n\nallow if h[data.key] == \"a\"", []string{"attributes.request.http.*"}},
		{"a rule as an alias by a computed key", "o.h := input.attributes.request.http\n\nallow if o[data.key].host == \"a\"", []string{"attributes.request.http.*"}},
		{"two rules of one name", "h := input.attributes.source if input.a\n\nh := input.attributes.destination if input.b\n\nallow if h.principal == \"a\"", []string{"a", "attributes.destination.*", "attributes.source.*", "b"}},
		{"a rule with a default", "default h := {}\n\nh := input.source\n\nallow if h.port == 1", []string{"source.*"}},
		{"a rule with else", "h := input.source if input.a else := input.b\n\nallow if h.port == 1", []string{"a", "b.*", "source.*"}},
		{"a function of a part", "f(x) := y if {\n\ty := input.source\n\ty.port == x\n}\n\nallow if f(1).principal == \"a\"", []string{"source.*"}},
		{"all", `allow if walk(input, [_, "a"])`, []string{"*"}},
		{"all by an alias", "allow if {\n\ti := input\n\ti.version\n}", []string{"version.*"}},
		{"all by an alias with a computed key", "allow if {\n\ti := input\n\ti[data.key]\n}", []string{"*"}},
		{"what is not reached", "allow if a\n\na if input.a == 1\n\nb if input.b == 1", []string{"a.*"}},
		{"a function", "allow if f(1)\n\nf(x) if input.a == x", []string{"a.*"}},
		{"a rule of a package by a variable", "allow if data.other[input.b]", []string{"attributes.request.http.host.*", "b.*", "path_ambiguous.*"}},
		{"with", "allow if a with input.a as 1\n\na if input.b == 1", []string{"a.*", "b.*"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := awkwardEngine(t, tt.rules).current.Load().snapshots[0]
			got := s.reads.input.paths()
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("reads (-want +got):\n%s", diff)
			}
		})
	}
}

// TestShippedReads holds that the shipped policy has a memo, whose key has nothing that differs
// from request to request without need.
func TestShippedReads(t *testing.T) {
	e, err := New(t.Context(), Config{Default: policies.FS})
	if err != nil {
		t.Fatal(err)
	}
	s := e.current.Load().snapshots[0]
	if s.memo == nil {
		t.Error("the shipped policy has no memo")
	}
	for _, path := range s.reads.input.paths() {
		if strings.HasPrefix(path, "attributes.request.time") || strings.Contains(path, "headers") || strings.HasPrefix(path, "attributes.source") {
			t.Errorf("it reads %s", path)
		}
	}
}
