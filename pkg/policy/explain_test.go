package policy_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// explained is an explanation's rules, a line for each.
func explained(x policy.Explanation) string {
	var out strings.Builder
	for _, r := range x.Rules {
		fmt.Fprintf(&out, "%s:%d %s %s", r.File, r.Line, strings.TrimPrefix(r.Name, "data.envoy.authz."), r.Outcome)
		if r.FailedAt != nil {
			fmt.Fprintf(&out, " at %d: %s", r.FailedAt.Line, r.FailedAt.Text)
		}
		out.WriteString("\n")
	}
	return out.String()
}

func TestExplain(t *testing.T) {
	tests := []struct {
		name, rules string
		want        string
		wantAllowed bool
		wantReason  authz.Reason
	}{
		{
			name: "the index leaves rules out, which are shown all the same",
			rules: `default allow := false

allow if {
	input.parsed_path[0] == "admin"
	input.x
}

allow if {
	input.parsed_path[0] == "public"
	get
}

get if input.attributes.request.http.method == "GET"
`,
			want: `policy.rego:5 allow failed at 6: input.parsed_path[0] == "admin"
policy.rego:10 allow fired
policy.rego:15 get fired
`,
			wantAllowed: true,
		},
		{
			name: "the attempt that came furthest",
			rules: `allow if {
	some name in ["a", "public", "b"]
	input.parsed_path[0] == name
	input.parsed_path[1] == "x"
}
allow if not denied
denied if input.version
`,
			want: `policy.rego:3 allow failed at 6: input.parsed_path[1] == "x"
policy.rego:8 allow failed at 8: not denied
policy.rego:9 denied fired
`,
			wantReason: authz.PolicyUndefined,
		},
		{
			name: "functions, defaults, else and constants",
			rules: `default allow := false
allow if starts("private")
starts(x) if startswith(input.attributes.request.http.path, x)
starts(x) if x == answers[_]
answers := ["yes"]
`,
			want: `policy.rego:4 allow failed at 4: starts("private")
policy.rego:5 starts failed at 5: startswith(input.attributes.request.http.path, x)
policy.rego:6 starts failed at 6: x == answers[_]
policy.rego:7 answers constant
policy.rego:3 allow fired
`,
		},
		{
			name: "a builtin that fails",
			rules: `allow if number > 1
number := to_number(input.parsed_path[0])
`,
			want:       "policy.rego:3 allow failed at 3: number\npolicy.rego:4 number failed at 4: to_number(input.parsed_path[0])\n",
			wantReason: authz.PolicyError,
		},
		{
			name: "a builtin that would fail in a rule that the index leaves out",
			rules: `allow if {
	to_number(input.parsed_path[0]) > 1
	input.parsed_path[1] == "x"
}
allow if input.parsed_path[1] == "y"
`,
			want:        "policy.rego:7 allow fired\n",
			wantAllowed: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := engine(t, tt.rules)
			decision, wantErr := e.Decide(t.Context(), get(t, "/public/y"), authz.Identity{})
			got, err := e.Explain(t.Context(), get(t, "/public/y"), authz.Identity{})
			if diff := cmp.Diff(fmt.Sprint(wantErr), fmt.Sprint(err)); diff != "" {
				t.Errorf("error (-Decide +Explain):\n%s", diff)
			}
			if diff := cmp.Diff(decision, got.Decision); diff != "" {
				t.Errorf("decision (-Decide +Explain):\n%s", diff)
			}
			if got.Decision.Allowed != tt.wantAllowed || err != nil && authz.ReasonOf(err) != tt.wantReason {
				t.Errorf("allowed %v, %v; want %v, %v", got.Decision.Allowed, err, tt.wantAllowed, tt.wantReason)
			}
			if diff := cmp.Diff(tt.want, explained(got)); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			if got.Entrypoint != "data.envoy.authz.allow" {
				t.Errorf("entrypoint %q", got.Entrypoint)
			}
		})
	}
}

// Both evaluations see one world: what is drawn at random is drawn once.
func TestExplainDrawsOnce(t *testing.T) {
	e := engine(t, `
n := rand.intn("n", 1000000)
allow := {"allowed": true, "reason": sprintf("%d", [n])} if n % 2 == 0
allow := {"allowed": false, "reason": sprintf("%d", [n])} if n % 2 == 1
`)
	for range 20 {
		got, err := e.Explain(t.Context(), get(t, "/"), authz.Identity{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got.Rules {
			even := r.Line == 5
			if strings.HasSuffix(r.Name, "allow") && (r.Outcome == policy.Fired) != (even == got.Decision.Allowed) {
				t.Fatalf("allowed %v, and of line %d %v", got.Decision.Allowed, r.Line, r.Outcome)
			}
		}
	}
}

func TestExplainConcurrently(t *testing.T) {
	e := shipped(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			got, err := e.Explain(t.Context(), get(t, "/orders/1"), clerk())
			if err != nil || !got.Decision.Allowed || len(got.Rules) < 5 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	group.Wait()
}
