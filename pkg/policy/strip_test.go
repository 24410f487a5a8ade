package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// TestOutputHeaders has policies that allow a GET and set no header then. All that they can set at
// another time is removed.
func TestOutputHeaders(t *testing.T) {
	const isGet = `input.attributes.request.http.method == "GET"`
	const isPost = `input.attributes.request.http.method == "POST"`
	tests := []struct {
		name       string
		rules      string
		configured []string
		data       map[string]any
		want       []string
	}{
		{name: "none", rules: `allow := true`},
		{
			name:  "of an object literal",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": {"X-User": "a", "x-role": ["b"]}} if ` + isPost,
			want:  []string{"x-role", "x-user"},
		},
		{
			name:  "of a list of objects",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": [{"x-a": "1"}, {"x-b": "2"}]} if ` + isPost,
			want:  []string{"x-a", "x-b"},
		},
		{
			name:  "of a rule",
			rules: `allow := {"allowed": true, "headers": extra}` + "\n" + `default extra := {}` + "\n" + `extra := {"x-a": "1"} if ` + isPost,
			want:  []string{"x-a"},
		},
		{
			name: "of rules that each make one",
			rules: `allow := {"allowed": true, "headers": headers}` + "\n" + `headers["x-a"] := "1" if ` + isPost + "\n" +
				`headers["x-b"] := "2" if ` + isPost + "\n" + `headers[name] := "3" if { some name in ["x-c"]; ` + isPost + ` }`,
			want: []string{"x-a", "x-b"}, // x-c is computed
		},
		{
			name:  "of a member of the answer",
			rules: `allow.allowed := true` + "\n" + `allow.headers["x-a"] := "1" if ` + isPost + "\n" + `allow.headers["x-b"] := "2" if ` + isPost,
			want:  []string{"x-a", "x-b"},
		},
		{
			name: "of a partial object",
			rules: `allow["allowed"] := true` + "\n" + `allow["headers"] := h if { h := {"x-a": "1"}; ` + isPost + ` }` + "\n" +
				`allow["response_headers_to_add"] := {"x-b": "1"}`,
			want: []string{"x-a"},
		},
		{
			name:  "of a set of objects",
			rules: `allow := {"allowed": true, "headers": headers}` + "\n" + `headers contains {"x-a": "1"} if ` + isPost,
			want:  []string{"x-a"},
		},
		{
			name:  "of else",
			rules: `allow := true if ` + isGet + ` else := {"allowed": true, "headers": {"x-a": "1"}}`,
			want:  []string{"x-a"},
		},
		{
			name: "of else in a rule",
			rules: `allow := {"allowed": true, "headers": extra}` + "\n" +
				`extra := {} if ` + isGet + ` else := {"x-a": "1"} if ` + isPost + ` else := {"x-b": "1"}`,
			want: []string{"x-a", "x-b"},
		},
		{
			name: "of a union",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": h} if {` + "\n" +
				`h := object.union(base, object.union_n([{"x-b": "1"}, {"x-c": "2"}]))` + "\n" + isPost + "\n}\n" + `base := {"x-a": "1"}`,
			want: []string{"x-a", "x-b", "x-c"},
		},
		{
			name: "of a union of answers",
			rules: `allow := object.union({"allowed": true}, extra)` + "\n" + `default extra := {}` + "\n" +
				`extra := {"headers": {"x-a": "1"}} if ` + isPost,
			want: []string{"x-a"},
		},
		{
			name: "of a function",
			rules: `allow := {"allowed": true, "headers": with_user({"x-a": "1"})} if ` + isPost + "\n" + `default allow := true` + "\n" +
				`with_user(h) := object.union(h, {"x-user": "ann"})`,
			want: []string{"x-a", "x-user"},
		},
		{
			name: "of comprehensions",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": [{"x-a": v} | some v in ["1"]]} if ` + isPost + "\n" +
				`allow := {"allowed": true, "headers": {{"x-b": v} | some v in ["1"]}} if ` + isPost + "\n" +
				`allow := {"allowed": true, "headers": {"x-c": v | some v in ["1"]}} if ` + isPost,
			want: []string{"x-a", "x-b", "x-c"},
		},
		{
			name:  "of an element of a list",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": h} if { some h in [{"x-a": "1"}, {"x-b": "2"}]; ` + isPost + ` }`,
			want:  []string{"x-a", "x-b"},
		},
		{
			name:  "of data",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": data.extra.headers} if ` + isPost,
			data:  map[string]any{"extra": map[string]any{"headers": map[string]any{"x-a": "1"}}},
			want:  []string{"x-a"},
		},
		{
			name: "of variables in turn",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": h} if { h0 := {"x-b": "2"}; h1 := object.filter(h0, ["x-b"]); ` +
				`h := object.union(h1, {"x-a": "1"}); h = h; ` + isPost + ` }`,
			want: []string{"x-a", "x-b"},
		},
		{
			name: "of what a function is given",
			rules: `default allow := true` + "\n" + `allow := answer({"x-a": "1"}) if ` + isPost + "\n" + `allow := answer(extra) if ` + isPost + "\n" +
				`extra := {"x-b": "1"}` + "\n" + `answer(h) := {"allowed": true, "headers": object.union(h, {"x-c": "1"})}`,
			want: []string{"x-a", "x-b", "x-c"},
		},
		{
			name: "of a member of a rule",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": settings.up} if ` + isPost + "\n" +
				`settings := {"up": {"x-a": "1"}, "down": {"x-b": "1"}}`,
			want: []string{"x-a"},
		},
		{
			name: "of a member of data for somebody",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": h} if {` + "\n" +
				`tenant := data.tenants[input.attributes.contextExtensions.tenant]` + "\n" + `h := tenant.up` + "\n" + isPost + "\n}",
			data: map[string]any{"tenants": map[string]any{
				"acme": map[string]any{"up": map[string]any{"x-a": "1"}, "down": map[string]any{"x-z": "1"}}, "umbrella": map[string]any{"up": map[string]any{"x-b": "1"}},
			}},
			want: []string{"x-a", "x-b"},
		},
		{
			name: "of object.get",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": object.get(data.all, ["up", "now"], {"x-b": "1"})} if ` + isPost + "\n" +
				`allow := {"allowed": true, "headers": object.get(data.all, "down", {})} if ` + isPost,
			data: map[string]any{"all": map[string]any{"up": map[string]any{"now": map[string]any{"x-a": "1"}}, "down": map[string]any{"x-c": "1"}}},
			want: []string{"x-a", "x-b", "x-c"},
		},
		{name: "of the configuration", rules: `allow := true`, configured: []string{"X-Computed"}, want: []string{"x-computed"}},
		{
			name:  "of the response are not the request's",
			rules: `allow := {"allowed": true, "response_headers_to_add": {"x-a": "1"}}`,
		},
		{
			name: "of a denial are not an allow's",
			rules: `default allow := {"allowed": false, "headers": {"location": "/", "x-deny": "1"}}` + "\n" +
				`allow := true if ` + isGet,
		},
		{
			name:  "that describe the message stay",
			rules: `allow := {"allowed": true, "headers": headers}` + "\n" + `headers := {} if ` + isGet + ` else := {"Content-Type": "a", "cache-control": "b", "x-a": "1"}`,
			want:  []string{"x-a"},
		},
		{
			name:  "of rules that the entrypoint does not reach",
			rules: `allow := true` + "\n" + `other := {"allowed": true, "headers": {"x-a": "1"}}`,
		},
		{
			name:  "that are no headers",
			rules: `default allow := true` + "\n" + `allow := {"allowed": true, "headers": {":path": "1", 1: "2", "x-a": "3"}} if ` + isPost,
			want:  []string{"x-a"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := configured(t, tt.rules, policy.Config{OutputHeaders: tt.configured, Data: tt.data})
			d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
			if err != nil || !d.Allowed {
				t.Fatalf("got %+v, %v, want an allow", d, err)
			}
			if diff := cmp.Diff(tt.want, d.Upstream.RemoveHeaders, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOutputHeadersThatAreSet has what is set, by this decision, beside what is not.
func TestOutputHeadersThatAreSet(t *testing.T) {
	e := engine(t, `allow := {"allowed": true, "headers": headers, "request_headers_to_remove": ["x-c", "x-d"]}

headers["x-a"] := "1"

headers["x-b"] := "2" if input.attributes.request.http.method == "POST"

headers["x-c"] := "3"`)
	d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	want := authz.Mutation{
		SetHeaders:    []authz.Header{{Name: "x-a", Value: "1"}},
		RemoveHeaders: []string{"x-c", "x-d", "x-b"},
	}
	if diff := cmp.Diff(want, d.Upstream); diff != "" {
		t.Errorf("mutation (-want +got):\n%s", diff)
	}
}

func TestDenialRemovesNothing(t *testing.T) {
	e := engine(t, `default allow := false`+"\n"+`allow := {"allowed": true, "headers": {"x-a": "1"}} if input.nothing`)
	d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(authz.Mutation{}, d.Upstream); diff != "" {
		t.Errorf("mutation (-want +got):\n%s", diff)
	}
}
