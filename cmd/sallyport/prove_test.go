package main

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/prove"
	"github.com/sallyport/sallyport/policies"
)

const tokenless = `input.parsed_path[0] == "admin"; not input.tokens.users.status == "valid"`

// Policies with a mistake in them, and what became of it.
func TestProve(t *testing.T) {
	tests := map[string]struct {
		rules string
		never string
		want  prove.Verdict
		says  string // the example, or the obstacle
	}{
		"a token is asked for": {`allow if { input.parsed_path[0] == "admin"; input.tokens.users.status == "valid" }`, tokenless, prove.Proved, ""},
		"allowed by default":   {"default allow := true\nallow := false if input.tokens.users.status == \"missing\"", `input.parsed_path[0] == "admin"`, prove.Counterexample, "/admin"},
		"a not too few": {
			"allow if not denied\ndenied if { input.parsed_path[0] == \"admin\"; input.tokens.users.status == \"valid\" }", tokenless, prove.Counterexample, "users: null",
		},
		"the not there": {
			"allow if not denied\ndenied if { input.parsed_path[0] == \"admin\"; not input.tokens.users.status == \"valid\" }", tokenless, prove.Proved, "",
		},
		"or for and":       {"allow if input.tokens.users.status == \"valid\"\nallow if \"admin\" in input.tokens.users.claims.roles", `input.parsed_path[0] == "admin"; not "admin" in input.tokens.users.claims.roles`, prove.Counterexample, "/admin"},
		"and":              {`allow if { input.tokens.users.status == "valid"; "admin" in input.tokens.users.claims.roles }`, `not "admin" in input.tokens.users.claims.roles`, prove.Proved, ""},
		"a prefix of more": {`allow if { startswith(input.parsed_path[0], "pub") }`, `input.parsed_path[0] != "public"`, prove.Counterexample, "/pub"},
		"a prefix of the raw path": {
			`allow if not startswith(input.attributes.request.http.path, "/admin")`, `input.parsed_path[0] == "admin"`, prove.Counterexample, "%61dmin",
		},
		"administrator begins with admin": {
			"allow if { not startswith(input.parsed_path[0], \"admin\") }", `input.parsed_path[0] == "administrator"`, prove.Proved, "",
		},
		"another case of letters":    {`allow if input.parsed_path[0] != "admin"`, `lower(input.parsed_path[0]) == "admin"`, prove.Counterexample, "/ADMIN"},
		"a slash at the end":         {`allow if input.parsed_path != ["admin"]`, `input.parsed_path[0] == "admin"`, prove.Counterexample, "/admin/"},
		"the method by its opposite": {`allow if input.attributes.request.http.method != "DELETE"`, `not input.attributes.request.http.method in {"GET", "POST"}`, prove.Counterexample, "method:"},
		"a list gone through":        {`allow if { some role in input.tokens.users.claims.roles; role == "admin" }`, `not "admin" in input.tokens.users.claims.roles`, prove.Proved, ""},
		"a set of a list":            {`allow if count({r | some r in input.tokens.users.claims.roles} & {"admin", "ops"}) > 0`, `not "admin" in input.tokens.users.claims.roles; not "ops" in input.tokens.users.claims.roles`, prove.Proved, ""},
		"every holds of nothing":     {`allow if every role in input.tokens.users.claims.roles { role != "guest" }`, `count(input.tokens.users.claims.roles) == 0`, prove.Counterexample, "roles:"},
		"deny messages": {
			"allow if count(deny) == 0\ndeny contains \"no token\" if { input.parsed_path[0] == \"admin\"; input.tokens.users.status == \"missing\" }", tokenless, prove.Proved, "",
		},
		"an object that allows":         {`allow := {"allowed": true, "headers": {"x-user": input.tokens.users.claims.sub}} if input.parsed_path[0] == "me"`, `input.tokens.users.status == "missing"`, prove.Proved, ""},
		"an object that denies":         {`allow := {"allowed": false} if true`, `input.parsed_path[0] == "me"`, prove.Proved, ""},
		"one's own folder":              {`allow if input.parsed_path[1] == input.tokens.users.claims.sub`, `input.parsed_path[1] != input.tokens.users.claims.sub`, prove.Proved, ""},
		"a header of capitals":          {`allow if input.attributes.request.http.headers["X-Admin"] == "1"`, `true`, prove.Proved, ""},
		"a header that a client writes": {`allow if input.attributes.request.http.headers["x-admin"] == "1"`, `input.tokens.users.status == "missing"`, prove.Counterexample, "x-admin:"},
		"numbers in bounds":             {`allow if { input.tokens.users.claims.level >= 3 }`, `input.tokens.users.claims.level < 3`, prove.Proved, ""},
		"numbers out of bounds":         {`allow if { input.tokens.users.claims.level >= 3 }`, `input.tokens.users.claims.level < 5`, prove.Counterexample, "level: 3"},
		"else":                          {"allow := true if input.parsed_path[0] == \"a\" else := false if input.parsed_path[1] == \"b\" else := true", `input.parsed_path == ["x", "b"]`, prove.Proved, ""},
		"the library":                   {"import data.sallyport.roles\nallow if roles.any(input.tokens.users.claims, [\"admin\"])", `not roles.any(input.tokens.users.claims, ["admin"])`, prove.Proved, ""},
		"the policy's own rule":         {"allow if is_public\nis_public if input.parsed_path[0] == \"public\"", `not authz.is_public`, prove.Proved, ""},
		"a connection":                  {`allow if input.source.principal == "spiffe://a/b"`, `not input.attributes.request.http`, prove.Counterexample, "network: true"},
		"the clock":                     {`allow if { time.now_ns() > 5; input.tokens.users.status == "valid" }`, `input.tokens.users.status == "missing"`, prove.Proved, ""},
		"with":                          {"allow if helper with input as {}\nhelper if not input.x", tokenless, prove.Unknown, "with is not looked into"},
		"two texts in one":              {`allow if concat("-", [input.parsed_path[0], input.parsed_path[1]]) == "a-b"`, `input.parsed_path[0] == "zz"`, prove.Unknown, "concat of a value that is not known"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := &prover{
				config:  policy.Config{Modules: map[string]string{"policy.rego": "package envoy.authz\n" + tt.rules}, Library: policies.Library},
				runner:  casefile.Runner{Slots: []string{"users"}},
				timeout: defaultProofTime,
			}
			proof, err := p.prove(t.Context(), claim{Never: tt.never, file: "--never", line: 1})
			if err != nil {
				t.Fatal(err)
			}
			said := proof.Case
			for _, o := range proof.Obstacles {
				said += obstacle(o) + "\n"
			}
			if proof.Verdict != tt.want || !strings.Contains(said, tt.says) {
				t.Errorf("got %s, want %s with %q:\n%s", proof.Verdict, tt.want, tt.says, said)
			}
		})
	}
}
