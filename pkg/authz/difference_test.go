package authz_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

func TestCompare(t *testing.T) {
	sets := func(headers ...authz.Header) authz.Decision {
		return authz.Decision{Allowed: true, Upstream: authz.Mutation{SetHeaders: headers}}
	}
	age := func(seconds int) *authz.StepUp { return &authz.StepUp{ACRValues: []string{"mfa"}, MaxAge: &seconds} }
	ann, bob, role := authz.Header{Name: "x-user", Value: "ann"}, authz.Header{Name: "x-user", Value: "bob"}, authz.Header{Name: "x-role", Value: "clerk"}
	for name, tt := range map[string]struct {
		before, after authz.Decision
		want          authz.Verdict
		effects       []string
	}{
		"the zero values":           {want: authz.Same},
		"let in":                    {authz.Decision{Status: 403}, authz.Decision{Allowed: true}, authz.NewlyAllowed, nil},
		"shut out":                  {sets(ann), authz.Decision{Status: 401}, authz.NewlyDenied, nil},
		"for another reason":        {authz.Decision{Reason: authz.PolicyDenied, Revision: "1", Detail: "a"}, authz.Decision{Reason: authz.PolicyUndefined, Revision: "2"}, authz.Same, nil},
		"other metadata":            {authz.Decision{Allowed: true, Metadata: map[string]any{"a": 1}}, authz.Decision{Allowed: true}, authz.Same, nil},
		"headers in another order":  {sets(ann, role), sets(role, ann), authz.Same, nil},
		"one header twice, turned":  {sets(ann, bob), sets(bob, ann), authz.Changed, []string{"request header x-user"}},
		"another value":             {sets(ann), sets(bob), authz.Changed, []string{"request header x-user"}},
		"a header more":             {sets(ann), sets(ann, role), authz.Changed, []string{"request header x-role"}},
		"a header fewer":            {sets(ann, role), sets(ann), authz.Changed, []string{"request header x-role"}},
		"set, then removed":         {sets(ann), authz.Decision{Allowed: true, Upstream: authz.Mutation{RemoveHeaders: []string{"x-user"}}}, authz.Changed, []string{"request header x-user"}},
		"set to the word removed":   {sets(authz.Header{Name: "a", Value: "removed"}), authz.Decision{Allowed: true, Upstream: authz.Mutation{RemoveHeaders: []string{"a"}}}, authz.Changed, []string{"request header a"}},
		"the query":                 {authz.Decision{Allowed: true, Upstream: authz.Mutation{SetQuery: []authz.Parameter{{Name: "q", Value: "1"}}}}, authz.Decision{Allowed: true, Upstream: authz.Mutation{RemoveQuery: []string{"p"}}}, authz.Changed, []string{"query parameter p", "query parameter q"}},
		"the response":              {authz.Decision{Allowed: true, Response: []authz.Header{ann}}, authz.Decision{Allowed: true}, authz.Changed, []string{"response header x-user"}},
		"a denial's status":         {authz.Decision{Status: 401, Body: "a"}, authz.Decision{Status: 403, Body: "b"}, authz.Changed, []string{"body", "status"}},
		"a denial's header":         {authz.Decision{Denial: []authz.Header{ann}}, authz.Decision{Denial: []authz.Header{ann, ann}}, authz.Changed, []string{"response header x-user"}},
		"scopes in another order":   {authz.Decision{Scopes: []string{"a", "b"}}, authz.Decision{Scopes: []string{"b", "a"}}, authz.Same, nil},
		"other scopes":              {authz.Decision{Scopes: []string{"a"}}, authz.Decision{}, authz.Changed, []string{"scopes"}},
		"a fresher authentication":  {authz.Decision{StepUp: age(60)}, authz.Decision{StepUp: age(30)}, authz.Changed, []string{"max age"}},
		"a step-up where none was":  {authz.Decision{}, authz.Decision{StepUp: age(60)}, authz.Changed, []string{"acr values", "max age"}},
		"what a denial never sends": {authz.Decision{Upstream: authz.Mutation{SetHeaders: []authz.Header{ann}}}, authz.Decision{}, authz.Same, nil},
	} {
		t.Run(name, func(t *testing.T) {
			want := authz.Difference{Verdict: tt.want, Effects: tt.effects}
			if diff := cmp.Diff(want, authz.Compare(tt.before, tt.after)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
