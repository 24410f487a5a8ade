package envoy_test

import (
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Envoy compares names as they stand in the path, so every spelling on the request has to be listed.
func TestRemovedParametersAsSpelled(t *testing.T) {
	upstream := authz.Mutation{
		SetQuery:    []authz.Parameter{{Name: "role", Value: "reader"}, {Name: "a b", Value: "1"}},
		RemoveQuery: []string{"access_token"},
	}
	for path, want := range map[string][]string{
		"/":                       {"access_token"},
		"/?access_token=x&page=1": {"access_token"},
		"/?access%5Ftoken=x":      {"access_token", "access%5Ftoken"},
		"/?access%5ftoken&%61ccess_token=x&access%5ftoken=y": {"access_token", "access%5ftoken", "%61ccess_token"},
		"/?role=admin":    {"access_token"},
		"/?r%6Fle=admin":  {"access_token", "r%6Fle"},
		"/?a+b=2&a%20b=3": {"access_token", "a+b"},
	} {
		t.Run(path, func(t *testing.T) {
			conn, _ := serve(t, authz.Decision{Allowed: true, Upstream: upstream}, nil)
			got, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), httpCheck(&authv3.AttributeContext_HttpRequest{Path: path}))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.GetOkResponse().GetQueryParametersToRemove()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
