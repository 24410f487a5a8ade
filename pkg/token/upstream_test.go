package token_test

import (
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

func TestUpstream(t *testing.T) {
	i := quietIssuer(t, "https://issuer.example", tokentest.Config{})
	keys, err := json.Marshal(i.KeySet())
	if err != nil {
		t.Fatal(err)
	}
	text, err := i.Token("orders", map[string]any{
		"name": "Zoë", "level": 7, "ratio": 0.5, "big": json.Number("9007199254740993"), "admin": false, "empty": "", "none": []any{},
		"roles": []any{"a", "b", 3, true}, "realm": map[string]any{"roles": []any{"x"}, "deep": map[string]any{"er": "y"}},
		"https://example.com/team": "red", "objects": []any{map[string]any{"a": "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	outputs := []token.ClaimHeader{
		{Header: "X-Sub", Claim: "sub"}, {Header: "x-name", Claim: "name"}, {Header: "x-level", Claim: "level"}, {Header: "x-ratio", Claim: "ratio"},
		{Header: "x-big", Claim: "big"}, {Header: "x-admin", Claim: "admin"}, {Header: "x-roles", Claim: "roles"}, {Header: "x-nested", Claim: "realm.roles"},
		{Header: "x-deeper", Claim: "realm.deep.er"}, {Header: "x-team", Claim: "https://example.com/team"},
		{Header: "x-empty", Claim: "empty"}, {Header: "x-none", Claim: "none"}, {Header: "x-object", Claim: "realm"}, {Header: "x-objects", Claim: "objects"},
		{Header: "x-missing", Claim: "missing"}, {Header: "x-below", Claim: "sub.x"},
	}
	var all []string
	for _, o := range outputs {
		all = append(all, o.Header)
	}
	all[0] = "x-sub"
	set := []authz.Header{
		{Name: "x-sub", Value: "alice"}, {Name: "x-name", Value: "Zoë"}, {Name: "x-level", Value: "7"}, {Name: "x-ratio", Value: "0.5"},
		{Name: "x-big", Value: "9007199254740993"}, {Name: "x-admin", Value: "false"}, {Name: "x-roles", Value: "a,b,3,true"},
		{Name: "x-nested", Value: "x"}, {Name: "x-deeper", Value: "y"}, {Name: "x-team", Value: "red"},
	}
	unset := all[len(set):]
	for _, test := range []struct {
		name    string
		forward bool
		headers authz.Headers
		path    string
		l4      bool
		want    authz.Mutation
	}{
		{name: "header", headers: authz.Headers{"authorization": {"Bearer " + text}}, want: authz.Mutation{SetHeaders: set, RemoveHeaders: append([]string{"authorization"}, unset...)}},
		{name: "header, forwarded", forward: true, headers: authz.Headers{"authorization": {"Bearer " + text}}, want: authz.Mutation{SetHeaders: set, RemoveHeaders: unset}},
		{name: "only cookie", headers: authz.Headers{"cookie": {"session=" + text}}, want: authz.Mutation{SetHeaders: set, RemoveHeaders: append([]string{"cookie"}, unset...)}},
		{
			name: "one cookie of several", headers: authz.Headers{"cookie": {"a=b;session=" + text + "; sessions=c", "d; e=f=g"}},
			want: authz.Mutation{SetHeaders: append([]authz.Header{{Name: "cookie", Value: "a=b; sessions=c; d; e=f=g"}}, set...), RemoveHeaders: unset},
		},
		{name: "cookie, forwarded", forward: true, headers: authz.Headers{"cookie": {"session=" + text}}, want: authz.Mutation{SetHeaders: set, RemoveHeaders: unset}},
		{name: "parameter", path: "/?q=1&token=" + text, want: authz.Mutation{SetHeaders: set, RemoveHeaders: unset, RemoveQuery: []string{"token"}}},
		{name: "parameter, forwarded", forward: true, path: "/?token=" + text, want: authz.Mutation{SetHeaders: set, RemoveHeaders: unset}},
		{name: "anonymous", headers: authz.Headers{"x-sub": {"root"}}, want: authz.Mutation{RemoveHeaders: all}},
		{name: "another scheme", headers: authz.Headers{"authorization": {"Basic dTpw"}}, want: authz.Mutation{RemoveHeaders: all}},
		{name: "no HTTP", l4: true, want: authz.Mutation{RemoveHeaders: all}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := start(t, token.Config{Logger: slog.New(slog.DiscardHandler), Rules: []token.Rule{rule("users", i.URL, func(r *token.Rule) {
				r.JWKS, r.ForwardOriginalToken, r.OutputClaimToHeaders = string(keys), test.forward, outputs
				r.FromHeaders = []token.HeaderSource{{Name: "Authorization", Prefix: "Bearer "}}
				r.FromCookies, r.FromParams = []string{"session"}, []string{"token"}
			})}})
			req := vector{Path: test.path, Headers: test.headers}.request(t)
			if test.l4 {
				req = &authz.Request{}
			}
			id, err := v.Verify(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, id.Upstream, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("upstream (-want +got):\n%s", diff)
			}
		})
	}
}
