package authz_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Every header that a decision can set is overwritten or removed on an allow (rule 5).
func TestUpstream(t *testing.T) {
	header := func(name, value string) authz.Header { return authz.Header{Name: name, Value: value} }
	for name, tc := range map[string]struct {
		headers        authz.Headers
		tokens, policy authz.Mutation
		want           authz.Mutation
	}{
		"claims and the token's place": {
			tokens: authz.Mutation{SetHeaders: []authz.Header{header("x-user", "ann")}, RemoveHeaders: []string{"authorization"}},
			want:   authz.Mutation{SetHeaders: []authz.Header{header("x-user", "ann")}, RemoveHeaders: []string{"authorization"}},
		},
		"the policy's header wins over the token's": {
			tokens: authz.Mutation{SetHeaders: []authz.Header{header("x-user", "ann")}},
			policy: authz.Mutation{SetHeaders: []authz.Header{header("x-user", "robot")}},
			want:   authz.Mutation{SetHeaders: []authz.Header{header("x-user", "robot")}},
		},
		"what the policy sets is not removed": {
			tokens: authz.Mutation{RemoveHeaders: []string{"authorization", "x-user"}},
			policy: authz.Mutation{SetHeaders: []authz.Header{header("authorization", "internal")}},
			want: authz.Mutation{
				SetHeaders: []authz.Header{header("authorization", "internal")}, RemoveHeaders: []string{"x-user"}},
		},
		"what the policy removes is not set": {
			tokens: authz.Mutation{SetHeaders: []authz.Header{header("x-user", "ann")}},
			policy: authz.Mutation{RemoveHeaders: []string{"x-user"}},
			want:   authz.Mutation{RemoveHeaders: []string{"x-user"}},
		},
		"an alias that some servers take for the header": {
			headers: authz.Headers{"x_user": {"forged"}, "x_user-name": {"forged"}, "user_agent": {"curl"}},
			tokens:  authz.Mutation{SetHeaders: []authz.Header{header("x-user", "ann")}, RemoveHeaders: []string{"x-user-name"}},
			want: authz.Mutation{
				SetHeaders:    []authz.Header{header("x-user", "ann")},
				RemoveHeaders: []string{"x-user-name", "x_user", "x_user-name"}},
		},
		"query parameters of both": {
			tokens: authz.Mutation{RemoveQuery: []string{"access_token"}},
			policy: authz.Mutation{RemoveQuery: []string{"debug"}, SetQuery: []authz.Parameter{{Name: "tenant", Value: "a"}}},
			want: authz.Mutation{
				RemoveQuery: []string{"access_token", "debug"}, SetQuery: []authz.Parameter{{Name: "tenant", Value: "a"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var recorded records
			checker := authz.Checker{
				Verifier: identified(authz.Identity{Upstream: tc.tokens}, nil),
				Decider:  decided(authz.Decision{Allowed: true, Upstream: tc.policy}, nil),
				Recorder: &recorded,
			}
			d := checker.Check(context.Background(), get("/", tc.headers))
			if diff := cmp.Diff(tc.want, d.Upstream); diff != "" || !d.Allowed || d.Reason != authz.Allowed {
				t.Errorf("allowed %v, reason %q, upstream (-want +got):\n%s", d.Allowed, d.Reason, diff)
			}
		})
	}
}

// A denial changes nothing upstream, whatever the policy wrote beside it.
func TestDenialChangesNothing(t *testing.T) {
	valid := slot(authz.TokenValid)
	d := authz.Decision{Upstream: authz.Mutation{SetHeaders: []authz.Header{{Name: "x", Value: "y"}}}, Response: []authz.Header{{Name: "x"}}}
	var recorded records
	got := (&authz.Checker{Verifier: identified(valid, nil), Decider: decided(d, nil), Recorder: authz.Recorders{&recorded, &recorded}}).
		Check(context.Background(), get("/", nil))
	if diff := cmp.Diff(authz.Mutation{}, got.Upstream); diff != "" || got.Response != nil {
		t.Errorf("upstream (-want +got):\n%s\nresponse: %v", diff, got.Response)
	}
	if len(recorded) != 2 {
		t.Errorf("two Recorders got %d records", len(recorded))
	}
}
