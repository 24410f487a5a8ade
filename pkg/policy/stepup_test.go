package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

// TestShippedPoliciesStepUp counts the age to the request's time, whatever this machine's clock says.
func TestShippedPoliciesStepUp(t *testing.T) {
	e, err := policy.New(t.Context(), policy.Config{
		Default: policies.FS,
		Now:     func() time.Time { return time.Unix(9_000_000_000, 0) },
		Data: map[string]any{"routes": []any{
			map[string]any{"path": "/orders/**", "tokens": []string{"users"}, "acr": []string{"phrh", "phr"}, "max_age": "15m"},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const begun = 1_700_000_900
	maxAge := 900
	ask := &authz.StepUp{ACRValues: []string{"phrh", "phr"}, MaxAge: &maxAge}
	for name, tt := range map[string]struct {
		claims map[string]any
		at     time.Time
		want   *authz.StepUp // nil: allowed
	}{
		"fresh":                 {map[string]any{"acr": "phr", "auth_time": begun - 900}, time.Unix(begun, 999), nil},
		"too old":               {map[string]any{"acr": "phr", "auth_time": begun - 901}, time.Unix(begun, 0), ask},
		"too weak":              {map[string]any{"acr": "pwd", "auth_time": begun}, time.Unix(begun, 0), ask},
		"a time nobody sent":    {map[string]any{"acr": "phr", "auth_time": begun}, time.Time{}, ask},
		"a time of 1970":        {map[string]any{"acr": "phr", "auth_time": begun}, time.Unix(0, 0), ask},
		"no auth_time":          {map[string]any{"acr": "phr"}, time.Unix(begun, 0), ask},
		"auth_time as text":     {map[string]any{"acr": "phr", "auth_time": "1700000900"}, time.Unix(begun, 0), ask},
		"acr as a list":         {map[string]any{"acr": []any{"phr"}, "auth_time": begun}, time.Unix(begun, 0), ask},
		"neither of the claims": {map[string]any{}, time.Unix(begun, 0), ask},
	} {
		t.Run(name, func(t *testing.T) {
			req := get(t, "/orders/1")
			req.Time = tt.at
			id := authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenValid, Claims: tt.claims}}}
			d, err := e.Decide(t.Context(), req, id)
			if err != nil || d.Allowed != (tt.want == nil) {
				t.Fatalf("got %+v, %v", d, err)
			}
			if diff := cmp.Diff(tt.want, d.StepUp); diff != "" {
				t.Errorf("what is asked for (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLibraryHoursNowhere has a location that does not exist: that denies, under "not" too.
func TestLibraryHoursNowhere(t *testing.T) {
	for _, rule := range []string{
		"allow if hours.within(input.attributes.request.time, windows)",
		"allow if not hours.within(input.attributes.request.time, windows)",
		"allow if hours.outside(input.attributes.request.time, windows)",
	} {
		dir := write(t, map[string]string{"a.rego": "package envoy.authz\n\nimport data.sallyport.hours\n\nwindows := [{\"location\": \"Mars/Olympus\"}]\n\n" + rule})
		e, _ := loaded(t, policy.Config{Files: []string{dir}, Library: policies.Library})
		req := get(t, "/")
		req.Time = time.Unix(1_700_040_600, 0)
		if d, err := e.Decide(t.Context(), req, authz.Identity{}); authz.ReasonOf(err) != authz.PolicyError {
			t.Errorf("%s: got %+v, %v, want %s", rule, d, err, authz.PolicyError)
		}
	}
}
