package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

// shipped is an engine with the shipped policies and some routes.
func shipped(t testing.TB) *policy.Engine {
	t.Helper()
	e, err := policy.New(t.Context(), policy.Config{Default: policies.FS, Data: map[string]any{
		"routes": []any{
			map[string]any{"path": "/public/**", "public": true},
			map[string]any{"path": "/orders/**", "tokens": []string{"users"}, "roles": []string{"admin", "clerk"}},
			map[string]any{"path": "/users/{sub}/**", "scopes": []string{"profile"}},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func clerk() authz.Identity {
	return authz.Identity{Tokens: map[string]authz.Token{"users": {
		Status: authz.TokenValid,
		Issuer: "https://login.example.com",
		Claims: map[string]any{"sub": "ann", "roles": []any{"clerk"}, "scope": "profile orders:read"},
		Header: map[string]any{"alg": "RS256", "kid": "k1"},
	}}}
}

func TestShippedPolicies(t *testing.T) {
	tests := []struct {
		path       string
		id         authz.Identity
		want       bool
		wantDetail string
	}{
		{path: "/public/a.css", want: true, wantDetail: "routes[0] /public/**"},
		{path: "/orders/1", id: clerk(), want: true, wantDetail: "routes[1] /orders/**"},
		{path: "/orders/1", wantDetail: "routes[1] /orders/**: lacks role admin or clerk, token users"},
		{path: "/users/ann/mail", id: clerk(), want: true, wantDetail: "routes[2] /users/{sub}/**"},
		{path: "/users/bob/mail", id: clerk(), wantDetail: "routes[2] /users/{sub}/**: lacks claim sub of the path"},
		{path: "/public/../orders", id: clerk(), wantDetail: "the path is ambiguous"},
		{path: "/nowhere", id: clerk(), wantDetail: "no route has the path"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			if tt.id.Tokens == nil {
				tt.id.Tokens = map[string]authz.Token{"users": {Status: authz.TokenMissing}}
			}
			got, err := shipped(t).Decide(t.Context(), get(t, tt.path), tt.id)
			if err != nil {
				t.Fatal(err)
			}
			if got.Allowed != tt.want || got.Detail != tt.wantDetail {
				t.Errorf("allowed %v, %q, want %v, %q", got.Allowed, got.Detail, tt.want, tt.wantDetail)
			}
			if diff := cmp.Diff(authz.Mutation{}, got.Upstream); diff != "" {
				t.Errorf("the request is changed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestShippedPoliciesPreflight has the rule for CORS that the head of the policy gives.
func TestShippedPoliciesPreflight(t *testing.T) {
	e, err := policy.New(t.Context(), policy.Config{Default: policies.FS, Data: map[string]any{"routes": []any{
		map[string]any{"path": "/orders/**", "methods": []string{"OPTIONS"}, "public": true},
		map[string]any{"path": "/orders/**", "tokens": []string{"users"}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for method, want := range map[string]bool{"OPTIONS": true, "GET": false, "options": false} {
		req := get(t, "/orders/1")
		req.HTTP.Method = method
		anonymous := authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenMissing}}}
		if d, err := e.Decide(t.Context(), req, anonymous); err != nil || d.Allowed != want {
			t.Errorf("%s: got %+v, %v, want allowed %v", method, d, err, want)
		}
	}
}

func TestShippedPoliciesWithoutData(t *testing.T) {
	e, err := policy.New(t.Context(), policy.Config{Default: policies.FS})
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range []*authz.Request{get(t, "/"), {Source: authz.Peer{Principal: "spiffe://a/b"}}} {
		if d, err := e.Decide(t.Context(), req, clerk()); err != nil || d.Allowed {
			t.Errorf("got %+v, %v, want a denial", d, err)
		}
	}
}
