package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

func TestDecideFailsClosed(t *testing.T) {
	tests := []struct {
		name       string
		rules      string
		age        string // a header
		wantReason authz.Reason
		wantText   string
	}{
		{
			name:       "undefined",
			rules:      `allow if input.nothing`,
			wantReason: authz.PolicyUndefined,
			wantText:   "policy: evaluate: data.envoy.authz.allow has no answer",
		},
		{
			name:       "conflict",
			rules:      "allow := true\n\nallow := x if {\n\tx := input.attributes.request.http.headers.age == \"0\"\n}",
			wantReason: authz.PolicyConflict,
			wantText:   "policy: evaluate: data.envoy.authz.allow (policy.rego:5) has conflicting values",
		},
		{
			name:       "conflicting keys",
			rules:      `allow := {"allowed": true, "headers": {k: v | some v in ["a", "b"]; k := "x"}}`,
			wantReason: authz.PolicyConflict,
			wantText:   "policy: evaluate: data.envoy.authz.allow (policy.rego:3) has conflicting values",
		},
		{
			name:       "builtin error that would allow",
			rules:      "default allow := true\n\nallow := false if to_number(input.attributes.request.http.headers.age) < 18",
			age:        "secret",
			wantReason: authz.PolicyError,
			wantText:   "policy: evaluate: data.envoy.authz.allow (policy.rego:5): to_number failed",
		},
		{
			name:       "builtin error under not",
			rules:      "allow if not minor\n\nminor if {\n\tto_number(input.attributes.request.http.headers.age) < 18\n}",
			age:        "secret",
			wantReason: authz.PolicyError,
			wantText:   "policy: evaluate: data.envoy.authz.minor (policy.rego:6): to_number failed",
		},
		{
			name:       "text",
			rules:      `allow := "yes"`,
			wantReason: authz.PolicyAnswerInvalid,
			wantText:   "policy: read the answer: type string, want boolean or object",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := engine(t, tt.rules)
			req := get(t, "/")
			req.HTTP.Headers["age"] = []string{tt.age}
			got, err := e.Decide(t.Context(), req, authz.Identity{})
			if diff := cmp.Diff(authz.Decision{Revision: e.Revision(), Entrypoint: "data.envoy.authz.allow"}, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if reason := authz.ReasonOf(err); reason != tt.wantReason {
				t.Errorf("reason %q, want %q", reason, tt.wantReason)
			}
			if err == nil || err.Error() != tt.wantText {
				t.Errorf("error %v, want %s", err, tt.wantText)
			}
		})
	}
}

// TestIndexHidesNoFailure has the calls that OPA's rule index reads. It leaves out a rule that it
// knows not to hold, so that the failure in it would not be seen.
func TestIndexHidesNoFailure(t *testing.T) {
	calls := []string{
		`startswith(input.attributes.request.http.headers, "x")`,
		`endswith(input.attributes.request.http.headers, "x")`,
		`glob.match("x*", [], input.attributes.request.http.headers)`,
		`strings.any_prefix_match(input.attributes.request.http.headers, "x")`,
		`strings.any_suffix_match(input.attributes.request.http.headers, ["x", "y"])`,
	}
	for _, call := range calls {
		t.Run(call, func(t *testing.T) {
			e := engine(t, "allow if not denied\n\ndenied if "+call)
			req := get(t, "/")
			req.HTTP.Headers["age"] = []string{"1"}
			d, err := e.Decide(t.Context(), req, authz.Identity{})
			if authz.ReasonOf(err) != authz.PolicyError || !strings.Contains(err.Error(), "data.envoy.authz.denied (policy.rego:5)") {
				t.Errorf("got %+v, %v, want an error of the policy", d, err)
			}
		})
	}
}
