package policy_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

func TestAnswer(t *testing.T) {
	tests := []struct {
		name   string
		answer string
		want   authz.Decision
	}{
		{name: "true", answer: `true`, want: authz.Decision{Allowed: true}},
		{name: "false", answer: `false`, want: authz.Decision{}},
		{name: "allowed", answer: `{"allowed": true}`, want: authz.Decision{Allowed: true}},
		{name: "not allowed", answer: `{"allowed": false}`, want: authz.Decision{}},
		{
			name:   "headers of an allow go upstream",
			answer: `{"allowed": true, "headers": {"X-User": "ann", "x-roles": ["b", "a"], "x-set": {"d", "c"}, "x-empty": ""}}`,
			want: authz.Decision{Allowed: true, Upstream: authz.Mutation{SetHeaders: []authz.Header{
				{Name: "x-user", Value: "ann"}, {Name: "x-empty", Value: ""}, {Name: "x-roles", Value: "b,a"}, {Name: "x-set", Value: "c,d"},
			}}},
		},
		{
			name:   "headers as a list",
			answer: `{"allowed": true, "headers": [{"x-b": "1"}, {"x-a": "2", "X-B": ["3"]}]}`,
			want: authz.Decision{Allowed: true, Upstream: authz.Mutation{SetHeaders: []authz.Header{
				{Name: "x-b", Value: "1,3"}, {Name: "x-a", Value: "2"},
			}}},
		},
		{
			name:   "a header without values is removed",
			answer: `{"allowed": true, "headers": {"x-roles": []}}`,
			want:   authz.Decision{Allowed: true, Upstream: authz.Mutation{RemoveHeaders: []string{"x-roles"}}},
		},
		{
			name:   "headers of a denial go to the client",
			answer: `{"allowed": false, "headers": {"set-cookie": ["b=1", "a=2"], "X-Why": "no"}}`,
			want: authz.Decision{Denial: []authz.Header{
				{Name: "x-why", Value: "no"}, {Name: "set-cookie", Value: "b=1"}, {Name: "set-cookie", Value: "a=2"},
			}},
		},
		{
			name:   "all of an allow",
			answer: allKeys("true"),
			want: authz.Decision{
				Allowed: true,
				Detail:  "because",
				Upstream: authz.Mutation{
					SetHeaders:    []authz.Header{{Name: "x-a", Value: "1"}},
					RemoveHeaders: []string{"x-b", "x-c"},
					SetQuery:      []authz.Parameter{{Name: "l", Value: "2"}, {Name: "l", Value: "1"}, {Name: "q", Value: "a b"}},
					RemoveQuery:   []string{"token"},
				},
				Response: []authz.Header{{Name: "x-d", Value: "2"}, {Name: "x-d", Value: "1"}},
				Metadata: map[string]any{"n": 1.5, "s": []any{"a"}, "o": map[string]any{"b": true, "z": nil}},
			},
		},
		{
			name:   "all of a denial",
			answer: allKeys("false"),
			want: authz.Decision{
				Detail:   "because",
				Status:   429,
				Body:     "slow down",
				Denial:   []authz.Header{{Name: "x-a", Value: "1"}},
				Metadata: map[string]any{"n": 1.5, "s": []any{"a"}, "o": map[string]any{"b": true, "z": nil}},
			},
		},
		{
			name:   "what is set and removed is removed",
			answer: `{"allowed": true, "headers": {"x-a": "1"}, "request_headers_to_remove": ["X-A"]}`,
			want:   authz.Decision{Allowed: true, Upstream: authz.Mutation{RemoveHeaders: []string{"x-a"}}},
		},
		{
			name:   "a redirection",
			answer: `{"allowed": false, "http_status": 302, "headers": {"Location": "https://login.example.com/"}}`,
			want:   authz.Decision{Status: 302, Denial: []authz.Header{{Name: "location", Value: "https://login.example.com/"}}},
		},
		{name: "the least status", answer: `{"allowed": false, "http_status": 400}`, want: authz.Decision{Status: 400}},
		{name: "a status that Envoy's list lacks", answer: `{"allowed": false, "http_status": 418}`, want: authz.Decision{Status: 418}},
		{
			name:   "the scopes that are missing",
			answer: `{"allowed": false, "scopes": {"orders:write", "orders:read"}}`,
			want:   authz.Decision{Scopes: []string{"orders:read", "orders:write"}},
		},
		{
			name:   "another authentication",
			answer: `{"allowed": false, "acr_values": ["urn:mfa"], "max_age": 0}`,
			want:   authz.Decision{StepUp: &authz.StepUp{ACRValues: []string{"urn:mfa"}, MaxAge: new(int)}},
		},
		{name: "what only a denial asks for", answer: `{"allowed": true, "scopes": ["a"], "max_age": 60}`, want: authz.Decision{Allowed: true}},
		{name: "the last status", answer: `{"allowed": false, "http_status": 599}`, want: authz.Decision{Status: 599}},
		{name: "a status of an allow", answer: `{"allowed": true, "http_status": 200}`, want: authz.Decision{Allowed: true}},
		{name: "a denial that says 200", answer: `{"allowed": false, "http_status": 200}`, want: replaced("")},
		{name: "a denial that says 0", answer: `{"allowed": false, "http_status": 0}`, want: replaced("")},
		{name: "a denial that says 600", answer: `{"allowed": false, "http_status": 600}`, want: replaced("")},
		{name: "half a status", answer: `{"allowed": false, "http_status": 403.5}`, want: replaced("")},
		{name: "a redirection to nowhere", answer: `{"allowed": false, "http_status": 302, "reason": "login"}`, want: replaced("login; ")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := engine(t, "allow := "+tt.answer)
			got, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Revision, tt.want.Entrypoint = e.Revision(), "data.envoy.authz.allow"
			tt.want.Reason = authz.PolicyDenied
			if tt.want.Allowed {
				tt.want.Reason = authz.Allowed
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

// allKeys is an answer with every key there is.
func allKeys(allowed string) string {
	return `{
	"allowed": ` + allowed + `,
	"headers": {"x-a": "1"},
	"response_headers_to_add": {"x-d": ["2", "1"]},
	"request_headers_to_remove": {"X-B", "x-c"},
	"query_parameters_to_set": {"q": "a b", "l": ["2", "1"]},
	"query_parameters_to_remove": ["token"],
	"http_status": 429,
	"body": "slow down",
	"dynamic_metadata": {"n": 1.5, "s": {"a"}, "o": {"b": true, "z": null}},
	"reason": "because",
}`
}

// replaced is a denial whose status was none.
func replaced(reason string) authz.Decision {
	return authz.Decision{Status: 403, Detail: reason + "http_status is no status of a denial: 403 instead"}
}

func TestAnswerRefused(t *testing.T) {
	const bytes = `base64.decode("/w==")` // no UTF-8
	tests := []struct {
		name   string
		answer string
		want   string // after "policy: read the answer: "
	}{
		{"a number", `1`, `type number, want boolean or object`},
		{"null", `null`, `type null, want boolean or object`},
		{"a set", `{"allowed"}`, `type set, want boolean or object`},
		{"an empty object", `{}`, `the key "allowed" is missing`},
		{"no allowed", `{"headers": {}}`, `the key "allowed" is missing`},
		{"allowed as text", `{"allowed": "true"}`, `"allowed": type string, want boolean`},
		{"allowed as null", `{"allowed": null}`, `"allowed": type null, want boolean`},
		{"a key of the primer", `{"allowed": false, "status_code": 401}`, `unknown key "status_code"`},
		{"a key of another case", `{"allowed": true, "Headers": {}}`, `unknown key "Headers"`},
		{"a computed key", `{"allowed": true, "Bearer secret": 1}`, `unknown key (not a plain name)`},
		{"a key of another type", `{"allowed": true, 1: 2}`, `a key: type number, want string`},
		{"headers as text", `{"allowed": true, "headers": "x-user: ann"}`, `"headers": type string, want object or list of objects`},
		{"headers as a list of text", `{"allowed": true, "headers": ["x-user"]}`, `"headers": in the list: type string, want object`},
		{"a header as a number", `{"allowed": true, "headers": {"x-a": 1}}`, `"headers": "x-a": type number, want string or list of strings`},
		{"a header as an object", `{"allowed": true, "headers": {"x-a": {"b": "c"}}}`, `"headers": "x-a": type object, want string or list of strings`},
		{"a header as a list of numbers", `{"allowed": true, "headers": {"x-a": ["1", 2]}}`, `"headers": "x-a": type number, want string`},
		{"a header's name as a number", `{"allowed": true, "headers": {1: "a"}}`, `"headers": a header name: type number, want string`},
		{"an empty name", `{"allowed": true, "headers": {"": "a"}}`, `"headers": a header name that is no token`},
		{"a pseudo-header", `{"allowed": true, "headers": {":path": "/admin"}}`, `"headers": a header name that is no token`},
		{"a name with a line break", `{"allowed": true, "headers": {"x-a\r\nx-b": "1"}}`, `"headers": a header name that is no token`},
		{"a name that is not ASCII", `{"allowed": true, "headers": {"x-ä": "1"}}`, `"headers": a header name that is no token`},
		{"host", `{"allowed": true, "headers": {"Host": "admin"}}`, `"headers": the header "host" cannot be changed`},
		{"content-length", `{"allowed": true, "headers": {"content-length": "0"}}`, `"headers": the header "content-length" cannot be changed`},
		{"transfer-encoding", `{"allowed": true, "request_headers_to_remove": ["Transfer-Encoding"]}`, `"request_headers_to_remove": the header "transfer-encoding" cannot be changed`},
		{"a value with a line break", `{"allowed": true, "headers": {"x-a": "1\r\nx-b: 2"}}`, `"headers": "x-a": a value with a control character`},
		{"a value with NUL", `{"allowed": false, "headers": {"x-a": ["1", "\u0000"]}}`, `"headers": "x-a": a value with a control character`},
		{"a value that is not UTF-8", `{"allowed": true, "headers": {"x-a": ` + bytes + `}}`, `"headers": "x-a": a string that is not UTF-8`},
		{"response headers as text", `{"allowed": true, "response_headers_to_add": "x"}`, `"response_headers_to_add": type string, want object or list of objects`},
		{"response headers of a denial", `{"allowed": false, "response_headers_to_add": 1}`, `"response_headers_to_add": type number, want object or list of objects`},
		{"removals as text", `{"allowed": true, "request_headers_to_remove": "x-a"}`, `"request_headers_to_remove": type string, want list of strings`},
		{"removals as numbers", `{"allowed": true, "request_headers_to_remove": [1]}`, `"request_headers_to_remove": a header name: type number, want string`},
		{"parameters as a list", `{"allowed": true, "query_parameters_to_set": ["a"]}`, `"query_parameters_to_set": type array, want object`},
		{"a parameter as a number", `{"allowed": true, "query_parameters_to_set": {"a": 1}}`, `"query_parameters_to_set": "a": type number, want string or list of strings`},
		{"a parameter's name as a number", `{"allowed": true, "query_parameters_to_set": {1: "a"}}`, `"query_parameters_to_set": a name: type number, want string`},
		{"removed parameters as text", `{"allowed": true, "query_parameters_to_remove": "a"}`, `"query_parameters_to_remove": type string, want list of strings`},
		{"removed parameters as numbers", `{"allowed": true, "query_parameters_to_remove": [1]}`, `"query_parameters_to_remove": type number, want string`},
		{"a scope that would end the header", `{"allowed": false, "scopes": ["a\"b"]}`, `"scopes": a word that is empty, or has a character that no scope has`},
		{"two scopes in one", `{"allowed": false, "scopes": ["a b"]}`, `"scopes": a word that is empty, or has a character that no scope has`},
		{"scopes as text", `{"allowed": false, "scopes": "a"}`, `"scopes": type string, want list of strings`},
		{"an empty acr", `{"allowed": false, "acr_values": [""]}`, `"acr_values": a word that is empty, or has a character that no scope has`},
		{"an age below 0", `{"allowed": false, "max_age": -1}`, `"max_age": not a whole number of seconds, 0 or more`},
		{"half an age", `{"allowed": false, "max_age": 0.5}`, `"max_age": not a whole number of seconds, 0 or more`},
		{"a status as text", `{"allowed": false, "http_status": "401"}`, `"http_status": type string, want number`},
		{"a status of an allow as text", `{"allowed": true, "http_status": "200"}`, `"http_status": type string, want number`},
		{"a body as an object", `{"allowed": false, "body": {"error": "no"}}`, `"body": type object, want string`},
		{"a body that is not UTF-8", `{"allowed": false, "body": ` + bytes + `}`, `"body": a string that is not UTF-8`},
		{"a reason as a list", `{"allowed": false, "reason": ["no"]}`, `"reason": type array, want string`},
		{"metadata as text", `{"allowed": true, "dynamic_metadata": "x"}`, `"dynamic_metadata": type string, want object`},
		{"metadata with a key of another type", `{"allowed": true, "dynamic_metadata": {"a": {1: 2}}}`, `"dynamic_metadata": a name: type number, want string`},
		{"metadata that is not UTF-8", `{"allowed": true, "dynamic_metadata": {"a": [` + bytes + `]}}`, `"dynamic_metadata": a string that is not UTF-8`},
		{"metadata out of range", `{"allowed": true, "dynamic_metadata": {"a": 1e999}}`, `"dynamic_metadata": a number out of range`},
		{
			"metadata that is too deep",
			`{"allowed": true, "dynamic_metadata": {"a": ` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}}`,
			`"dynamic_metadata": nested deeper than 16 levels`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := engine(t, "allow := "+tt.answer)
			got, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
			if diff := cmp.Diff(authz.Decision{Revision: e.Revision(), Entrypoint: "data.envoy.authz.allow"}, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if authz.ReasonOf(err) != authz.PolicyAnswerInvalid || err.Error() != "policy: read the answer: "+tt.want {
				t.Errorf("error %q (%s), want %q", err, authz.ReasonOf(err), tt.want)
			}
		})
	}
}

// FuzzAnswer lets the policy answer anything: what is not refused can be sent.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`true`, `{"allowed": true, "headers": {"X-A": ["1", "2"]}}`, `{"allowed": false, "http_status": 302, "headers": [{"location": "/"}]}`,
		`{"allowed": true, "dynamic_metadata": {"a": [1e400, {}]}}`, `{"allowed": true, "query_parameters_to_set": {"": [""]}}`, `[`, `{"allowed": 1}`,
	} {
		f.Add(seed)
	}
	e := engine(f, "allow := json.unmarshal(input.attributes.request.http.headers.answer)")
	f.Fuzz(func(t *testing.T, answer string) {
		req := get(t, "/")
		req.HTTP.Headers["answer"] = []string{answer}
		d, err := e.Decide(t.Context(), req, authz.Identity{})
		if err != nil {
			if reason := authz.ReasonOf(err); reason != authz.PolicyAnswerInvalid && reason != authz.PolicyError {
				t.Errorf("reason %q of %v", reason, err)
			}
			if d.Allowed {
				t.Error("an allow beside an error")
			}
			return
		}
		if d.Allowed && (d.Status != 0 || d.Denial != nil || d.Body != "") || !d.Allowed && !cmp.Equal(d.Upstream, authz.Mutation{}) {
			t.Errorf("an allow and a denial are mixed: %+v", d)
		}
		if d.Status != 0 && (d.Status < 300 || d.Status > 599) {
			t.Errorf("status %d", d.Status)
		}
		for _, h := range slices.Concat(d.Upstream.SetHeaders, d.Response, d.Denial) {
			checkHeader(t, h)
		}
	})
}

func checkHeader(t *testing.T, h authz.Header) {
	t.Helper()
	if h.Name == "" || strings.ToLower(h.Name) != h.Name || strings.ContainsAny(h.Name, ": \t\r\n\x00\"(),/;<=>?@[\\]{}") {
		t.Errorf("header name %q", h.Name)
	}
	if !utf8.ValidString(h.Value) || strings.ContainsAny(h.Value, "\r\n\x00\x7f") {
		t.Errorf("header value %q", h.Value)
	}
}
