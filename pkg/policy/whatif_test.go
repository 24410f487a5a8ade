package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

func TestWhatIf(t *testing.T) {
	clerk := authz.Identity{Tokens: map[string]authz.Token{"users": {
		Status: authz.TokenValid, Claims: map[string]any{"roles": []any{"clerk"}, "level": "low"},
	}}}
	for _, tc := range []struct {
		name, rules string
		identity    authz.Identity
		want        []string
	}{
		{
			name:  "membership",
			rules: "default allow := false\nallow if \"admin\" in input.tokens.users.claims.roles\n",
			want:  []string{`roles contained "admin"`},
		},
		{
			name: "the path is known, and what holds already is left out",
			rules: `default allow := false
allow if {
	input.parsed_path[0] == "public"
	input.tokens.users.status == "valid"
	input.tokens.users.claims.level == "high"
}
allow if {
	input.parsed_path[0] == "elsewhere"
	"nobody" in input.tokens.users.claims.roles
}
`,
			want: []string{`level was "high"`},
		},
		{
			name: "several ways, the shortest first",
			rules: `default allow := false
allow if {
	some role in input.tokens.users.claims.roles
	role == "owner"
}
allow if input.tokens.users.claims.level in {"high", "top"}
allow if startswith(input.tokens.users.claims.email, "root@")
allow if input.tokens.users.claims.age >= 18
`,
			want: []string{
				`age was at least 18`, `roles contained "owner"`, `email began with "root@"`, `level was one of {"high", "top"}`,
			},
		},
		{
			name: "an object",
			rules: `default allow := {"allowed": false}
allow := {"allowed": true} if "admin" in input.tokens.users.claims.roles
`,
			want: []string{`roles contained "admin"`},
		},
		{
			name: "an object of members",
			rules: `allow := {"allowed": permitted, "reason": "x"}
default permitted := false
permitted if "admin" in input.tokens.users.claims.roles
`,
			want: []string{`roles contained "admin"`},
		},
		{
			name: "negation",
			rules: `default allow := false
allow if {
	"clerk" in input.tokens.users.claims.roles
	not input.tokens.users.claims.level == "low"
}
`,
			want: []string{`level was not "low"`},
		},
		{
			name: "negation of a rule",
			rules: `default allow := false
allow if not denied
denied if input.tokens.users.claims.level == "low"
denied if "barred" in input.tokens.users.claims.roles
`,
			want: []string{`not (level was "low" or roles contained "barred")`},
		},
		{
			name: "object.get",
			rules: `default allow := false
allow if "admin" in object.get(input.tokens.users.claims, "roles", [])
`,
			want: []string{`roles contained "admin"`},
		},
		{
			name: "Rego, where there are no words",
			rules: `default allow := false
allow if count(input.tokens.users.claims.roles) > 5
`,
			want: []string{`gt(count(input.tokens.users.claims.roles), 5)`},
		},
		{
			name:  "nothing would help",
			rules: "default allow := false\nallow if input.parsed_path[0] == \"x\"\n",
		},
		{
			name: "a value of the request is not shown",
			rules: `default allow := false
allow if input.tokens.users.claims.pin == input.attributes.request.http.headers["x-pin"]
allow if input.tokens.users.claims.tenant == input.attributes.request.http.headers["x-tenant"]
allow if concat("", ["a", input.attributes.request.http.headers["x-tenant"]]) in input.tokens.users.claims.tenants
`,
			want: []string{`pin was [masked]`, `tenant was "[masked]"`, `tenants contained "[masked]"`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := engine(t, tc.rules)
			request := get(t, "/public/x")
			request.HTTP.Headers = authz.Headers{"x-pin": {"planted1"}, "x-tenant": {"planted2"}}
			got, err := e.WhatIf(t.Context(), request, clerk)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if strings.Contains(strings.Join(got, " "), "planted") {
				t.Errorf("the request is in %q", got)
			}
		})
	}
}
