package casefile_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
)

func parse(t *testing.T, text string) *casefile.File {
	t.Helper()
	f, err := casefile.Parse("x.cases.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// request is a request as fields, such as "path: /x".
func request(t *testing.T, fields string) *authz.Request {
	t.Helper()
	req, err := casefile.ParseRequest("request.yaml", []byte(fields))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestParse(t *testing.T) {
	got := parse(t, `
path: orders/authz/allow
slots: [users, workload]
data: {routes: [{path: /orders, limit: 1.50}]}
now: 2026-11-24T09:00:00Z
cases:
- note: first
  request: curl https://shop.example.com/orders
  tokens:
    users: {claims: {iss: https://login.example.com, sub: ann, n: 0x10}, header: {alg: ES256}}
    workload: null
  expect:
    allowed: true
    headers: {X-User: ann, x-list: [a, b], x-none: null}
    response_headers_to_add: {x-frame-options: DENY}
    request_headers_to_remove: [authorization]
    query_parameters_to_set: {Role: reader}
    query_parameters_to_remove: [debug]
    dynamic_metadata: {tenant: acme}
    detail: routes[0]
    reason: allowed
- note: second
  now: 2026-11-25T09:00:00Z
  request: {path: /x}
  expect: {allowed: false, status: 403, body: "", scopes: [orders:read]}
`)
	first, second := got.Cases[0], got.Cases[1]
	if got.Path != "orders/authz/allow" || !cmp.Equal(got.Slots, []string{"users", "workload"}) || len(got.Cases) != 2 {
		t.Errorf("got %+v", got)
	}
	wantData := map[string]any{"routes": []any{map[string]any{"path": "/orders", "limit": json.Number("1.50")}}}
	if diff := cmp.Diff(wantData, got.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	wantTokens := map[string]authz.Token{
		"users": {
			Status: authz.TokenValid, Issuer: "https://login.example.com",
			Claims: map[string]any{"iss": "https://login.example.com", "sub": "ann", "n": json.Number("16")},
			Header: map[string]any{"alg": "ES256"},
		},
		"workload": {Status: authz.TokenMissing},
	}
	if diff := cmp.Diff(wantTokens, first.Tokens); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
	want := casefile.Expectation{
		Allowed: true, Reason: "allowed", Detail: "routes[0]",
		Headers:  map[string][]string{"x-user": {"ann"}, "x-list": {"a", "b"}, "x-none": nil},
		Response: map[string][]string{"x-frame-options": {"DENY"}}, Removed: []string{"authorization"},
		SetQuery: map[string][]string{"Role": {"reader"}}, NoQuery: []string{"debug"}, Metadata: map[string]any{"tenant": "acme"},
	}
	if diff := cmp.Diff(want, first.Want); diff != "" {
		t.Errorf("expectation (-want +got):\n%s", diff)
	}
	day := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	if !first.Now.Equal(day) || !second.Now.Equal(day.AddDate(0, 0, 1)) || first.Line != 7 {
		t.Errorf("now %v and %v, line %d", first.Now, second.Now, first.Line)
	}
	if body := ""; !cmp.Equal(second.Want, casefile.Expectation{Status: 403, Body: &body, Scopes: []string{"orders:read"}}) {
		t.Errorf("second: %+v", second.Want)
	}
}

func TestParseJSON(t *testing.T) {
	got := parse(t, `{"cases": [{"note": "n", "request": {"path": "/x", "json": {"a": 1.0}}, "expect": {"allowed": false}}]}`)
	if body := string(got.Cases[0].Request.HTTP.RawBody); body != `{"a":1.0}` {
		t.Errorf("body %s", body)
	}
}

func TestMistakes(t *testing.T) {
	tests := []struct {
		name, text string
		want       string
	}{
		{name: "empty", text: "# nothing\n", want: "f:1:1: the file is empty"},
		{name: "no YAML", text: "cases:\n  - a: b: c\n", want: "f:2:1: not YAML: mapping values are not allowed in this context"},
		{name: "a curl line that YAML takes for a mapping", text: "cases:\n- request: curl x -H 'a: b'\n", want: `f:2:1: not YAML: mapping values are not allowed in this context; write a curl line as a block, after "request: |"`},
		{name: "two documents", text: "{}\n---\n{}\n", want: "f:1:1: there are no cases\nf:2:1: a second YAML document; there must be one"},
		{name: "no mapping", text: "[]", want: "f:1:1: must be a mapping, not a list\nf:1:1: there are no cases"},
		{name: "an unknown anchor", text: "cases: *y\n", want: "f:1:1: not YAML: unknown anchor 'y' referenced"},
		{
			name: "all at once",
			text: `case: []
cases:
- note: n
  note: m
  request: {pth: /x, method: GE T, headers: {"a b": c, d: 1}, network: 1, body: 1}
  tokens: {users: {claim: {}}, other: 7}
  expect: {alllowed: true, status: 99}
- {}
- note: k
  request: !!str x
  expect: {allowed: &a true}
`,
			want: `f:1:1: "case": unknown field; did you mean "cases"?
f:4:3: "note": set twice; first in line 3
f:5:13: "pth": unknown field; did you mean "path"?
f:5:30: method: is no method, such as GET
f:5:46: headers: "a b" is no header's name
f:5:59: must be text, not a number; put it in quotes if it is meant
f:5:72: must be true or false, not a number
f:5:81: must be text, not a number; put it in quotes if it is meant
f:6:20: "claim": unknown field; did you mean "claims"?
f:6:39: must be a mapping, not a number
f:7:11: allowed: is missing; say true or false
f:7:12: "alllowed": unknown field; did you mean "allowed"?
f:7:36: must be a number from 100 to 599
f:8:3: note: is missing; say what the case is about
f:8:3: request: is missing
f:8:3: expect: is missing; a case without it cannot fail
f:10:12: YAML tags are not supported
f:10:12: curl: the line must begin with curl
f:11:21: YAML anchors and aliases are not supported; write the value out`,
		},
		{
			name: "fields that say one thing twice",
			text: `cases:
- note: n
  request: {curl: curl x, path: /y}
  expect: {allowed: true, status: 200, body: x}
- note: n
  request: {network: true, path: /y}
  expect: {allowed: false, request_headers_to_remove: [x]}
- note: n
  request: {url: "http://x/", host: y, body: a, json: b, truncated: true, time: noon}
  expect: {allowed: false}
- note: n
  request: {truncated: true, source: {port: 70000}, base64: "*", url: "ftp://x"}
  expect: {allowed: false}
- note: n
  request: {truncated: true}
  expect: {allowed: false}
`,
			want: `f:3:33: path: must not be beside curl, which says it
f:4:35: status: an allow has none
f:4:46: body: an allow has none
f:6:34: path: must not be beside network: such a check has no HTTP request
f:7:55: request_headers_to_remove: a denial has none
f:9:37: host: must not be beside url, which says it
f:9:55: json: must not be beside body, which says it
f:9:81: must be a time such as 2026-11-24T09:00:00Z
f:12:45: must be a number from 0 to 65535
f:12:61: base64: is not base64
f:12:71: url: the URL must begin with http:// or https://
f:15:12: truncated: there is no body that could be`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := casefile.Parse("f", []byte(tt.text))
			if !casefile.IsMistakes(err) {
				t.Fatalf("error %v, want mistakes", err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
		})
	}
}

// decides is a Decider of one answer.
type decides struct {
	authz.Decision
	err error
}

func (d decides) Decide(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
	return d.Decision, d.err
}

func TestRun(t *testing.T) {
	allow := authz.Decision{Allowed: true, Upstream: authz.Mutation{
		SetHeaders: []authz.Header{{Name: "x-user", Value: "ann"}, {Name: "x-list", Value: "a"}, {Name: "x-list", Value: "b"}}, RemoveHeaders: []string{"x-role"},
		SetQuery: []authz.Parameter{{Name: "role", Value: "reader"}}, RemoveQuery: []string{"debug"},
	}, Response: []authz.Header{{Name: "x-frame-options", Value: "DENY"}}, Metadata: map[string]any{"n": json.Number("1")}}
	tests := []struct {
		name    string
		decider decides
		slots   []string
		suppose func(map[string]authz.Token) (authz.Identity, error)
		text    string // of the case, after its note
		want    string
	}{
		{
			name: "an allow as expected", decider: decides{Decision: allow},
			text: `expect: {allowed: true, reason: allowed, headers: {X-User: ann, x-list: [a, b], x-none: null}, request_headers_to_remove: [X-Role],
    query_parameters_to_set: {role: reader}, query_parameters_to_remove: [debug], response_headers_to_add: {x-frame-options: DENY}, dynamic_metadata: {n: 1}}`,
		},
		{
			name: "an allow with other changes", decider: decides{Decision: allow},
			text: `expect: {allowed: true, headers: {x-user: bob, x-list: [a], x-none: x}, request_headers_to_remove: [a, x-role],
    query_parameters_to_set: {role: null}, query_parameters_to_remove: [b], response_headers_to_add: {x: y}, dynamic_metadata: {n: 2, m: {}}}`,
			want: `headers.x-list: expected "a", got ["a","b"]
headers.x-none: expected "x", got none
headers.x-user: expected "bob", got "ann"
response_headers_to_add.x: expected "y", got none
query_parameters_to_set.role: expected none, got "reader"
request_headers_to_remove: expected with ["a"], got ["x-role"]
query_parameters_to_remove: expected with ["b"], got ["debug"]
dynamic_metadata.m: expected {}, got none
dynamic_metadata.n: expected 2, got 1`,
		},
		{
			name: "a denial without a token", decider: decides{}, slots: []string{"users"},
			text: `expect: {allowed: false, status: 401, headers: {www-authenticate: Bearer}, scopes: []}`,
		},
		{
			name: "a denial with one", decider: decides{Decision: authz.Decision{Detail: "no role", Body: "no", Scopes: []string{"b", "a"}}},
			slots: []string{"users"},
			text: `tokens: {users: {claims: {sub: ann}}}
  expect: {allowed: false, status: 401, reason: timeout, detail: no scope, body: "yes", scopes: [a, c]}`,
			want: `status: expected 401, got 403
reason: expected timeout, got policy_denied
detail: expected text with "no scope", got "no role"
body: expected "yes", got "no"
scopes: expected ["a","c"], got ["a","b"]`,
		},
		{
			name: "the other way round", decider: decides{},
			text: `expect: {allowed: true, headers: {x: y}}`, want: "allowed: expected true, got false (403 policy_denied)",
		},
		{
			name: "an error denies", decider: decides{err: errors.New("broken")},
			text: `expect: {allowed: false, status: 500, reason: internal, detail: broken}`,
		},
		{
			name: "a first door that refuses", decider: decides{Decision: allow}, slots: []string{"users"},
			suppose: func(tokens map[string]authz.Token) (authz.Identity, error) {
				return authz.Identity{Tokens: tokens}, &authz.Error{Reason: authz.TokenRequired, Err: errors.New(string(tokens["users"].Status))}
			},
			text: `expect: {allowed: false, status: 401, reason: token_missing, detail: missing}`,
		},
		{
			name: "a slot that is not there", decider: decides{Decision: allow}, slots: []string{"users"},
			text: "tokens: {user: {claims: {}}}\n  expect: {allowed: true}", want: "tokens: expected a slot of the configuration (users), got user",
		},
		{
			name: "an ambiguous path", decider: decides{Decision: allow},
			text: `expect: {allowed: true}`, want: "allowed: expected true, got false (400 path_ambiguous)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := "/x"
			if strings.Contains(tt.want, "ambiguous") {
				path = "/x/../y"
			}
			f := parse(t, "cases:\n- note: n\n  request: {path: "+path+"}\n  "+tt.text+"\n")
			runner := casefile.Runner{Decider: tt.decider, Slots: tt.slots, Suppose: tt.suppose}
			got := runner.Run(t.Context(), f.Cases[0])
			lines := make([]string, len(got.Differences))
			for i, d := range got.Differences {
				lines[i] = d.String()
			}
			if diff := cmp.Diff(tt.want, strings.Join(lines, "\n")); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSlotsOf(t *testing.T) {
	f := parse(t, "slots: [b]\ncases:\n- {note: n, request: curl x, tokens: {a: null}, expect: {allowed: false}}\n")
	if diff := cmp.Diff([]string{"a", "b"}, casefile.SlotsOf(f)); diff != "" {
		t.Errorf("slots (-want +got):\n%s", diff)
	}
}

func TestIsFile(t *testing.T) {
	for name, want := range map[string]bool{
		"a/orders.cases.yaml": true, "orders.cases.yml": true, "orders.cases.json": true,
		"cases.yaml": false, "edge_cases.yaml": false, ".cases.yaml": false, "orders.yaml": false,
	} {
		if got := casefile.IsFile(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
