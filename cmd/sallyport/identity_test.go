package main

import (
	"net/http"
	"testing"
)

// The shipped policy behind the shipped bootstrap. What a token or a duplicate does must not
// depend on the form in which Envoy sends headers, nor on the protocol of the client.
func TestEnvoyIdentity(t *testing.T) {
	forms := []struct {
		name  string
		edits []edit
	}{
		{name: "as shipped"},
		{name: "headers joined", edits: []edit{{"encode_raw_headers: true", "encode_raw_headers: false"}}},
	}
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			m := startMesh(t, setup{config: "routes.yaml", edits: form.edits})
			t.Run("admitted", func(t *testing.T) { m.each(t, admitted(t, m)) })
			t.Run("turned away", func(t *testing.T) { m.each(t, turnedAway(t, m)) })
		})
	}
}

func admitted(t *testing.T, m *mesh) []exchange {
	clerk := m.token(t, map[string]any{"roles": []string{"clerk"}, "tenant": "acme"})
	plain := m.token(t, map[string]any{"roles": []string{"clerk"}})
	workload := m.token(t, map[string]any{"aud": "mesh", "sub": "frontend"})
	forged := http.Header{"x-user": {"root", "admin"}, "X-USER": {"root"}, "X_User": {"root"}, "X-Tenant": {"evil"}}
	return []exchange{
		{
			name: "claims go upstream as headers, the token does not", path: "/orders/7", header: bearer(clerk),
			wantStatus: 200, wantUpstream: http.Header{"X-User": {"alice"}, "X-Tenant": {"acme"}, "Authorization": nil},
		},
		{
			name: "forged identity headers are overwritten", path: "/orders/7", header: headers(bearer(clerk), forged),
			wantStatus: 200, wantUpstream: http.Header{"X-User": {"alice"}, "X-Tenant": {"acme"}, "X_user": nil},
		},
		{
			name: "a header is removed whose claim the token lacks", path: "/orders/7", header: headers(bearer(plain), forged),
			wantStatus: 200, wantUpstream: http.Header{"X-User": {"alice"}, "X-Tenant": nil},
		},
		{
			name: "without a token forged headers are removed", path: "/public/page", header: forged,
			wantStatus: 200, wantUpstream: http.Header{"X-User": nil, "X-Tenant": nil, "X_user": nil},
		},
		{
			name: "a token on a public route counts", path: "/public/page", header: bearer(clerk),
			wantStatus: 200, wantUpstream: http.Header{"X-User": {"alice"}, "Authorization": nil},
		},
		{
			name: "another scheme is nobody's token and stays", path: "/public/page", header: http.Header{"Authorization": {"Basic dTpw"}},
			wantStatus: 200, wantUpstream: http.Header{"Authorization": {"Basic dTpw"}, "X-User": nil},
		},
		{
			name: "forwardOriginalToken keeps the token", path: "/mesh", header: headers(bearer(plain), http.Header{"X-Workload-Token": {workload}}),
			wantStatus: 200, wantUpstream: http.Header{"X-Workload-Token": {workload}, "Authorization": nil},
		},
		{
			name: "a cookie's token is taken out, the rest stays", path: "/orders/7",
			header:     http.Header{"Cookie": {"theme=dark; session=" + clerk + "; lang=en"}},
			wantStatus: 200, wantUpstream: http.Header{"Cookie": {"theme=dark; lang=en"}, "X-User": {"alice"}},
		},
		{
			name: "a parameter's token is taken out, the rest stays", path: "/orders/7?a=%20b&access_token=" + clerk + "&c=d%26e",
			wantStatus: 200, wantUpstream: http.Header{"X-User": {"alice"}}, wantURI: "/orders/7?a=%20b&c=d%26e",
		},
		{
			name: "a parameter's token is taken out however its name is spelled", path: "/orders/7?access%5Ftoken=" + clerk,
			wantStatus: 200, wantUpstream: http.Header{"X-User": {"alice"}}, wantURI: "/orders/7",
		},
	}
}

func turnedAway(t *testing.T, m *mesh) []exchange {
	clerk := m.token(t, map[string]any{"roles": []string{"clerk"}})
	reader := m.token(t, map[string]any{"roles": []string{"reader"}})
	challenge := func(text string) http.Header { return http.Header{"Www-Authenticate": {text}} }
	unchallenged := http.Header{"Www-Authenticate": nil}
	const malformed = "the request is malformed"
	invalid := challenge(`Bearer error="invalid_token", error_description="the token is invalid"`)
	return []exchange{
		{name: "no token", path: "/orders/7", wantStatus: 401, wantHeader: challenge("Bearer")},
		{name: "a role that does not suffice", path: "/orders/7", header: bearer(reader), wantStatus: 403, wantHeader: unchallenged},
		{name: "no rule", path: "/elsewhere", header: bearer(clerk), wantStatus: 403},
		{name: "no rule for the method", method: "DELETE", path: "/payments", header: bearer(clerk), wantStatus: 403},
		{name: "the second token missing", path: "/mesh", header: bearer(clerk), wantStatus: 403},
		{
			name: "expired", path: "/orders/7", header: bearer(m.token(t, map[string]any{"iat": 1, "exp": 2})), wantStatus: 401,
			wantHeader: challenge(`Bearer error="invalid_token", error_description="the token has expired"`), wantBody: "the token has expired",
		},
		{
			name: "another audience, on a public route too", path: "/public/page", header: bearer(m.token(t, map[string]any{"aud": "billing"})),
			wantStatus: 401, wantHeader: invalid, wantBody: "the token is invalid",
		},
		{
			name: "tampered", path: "/orders/7", header: bearer(clerk[:len(clerk)-8] + "AAAAAAAA"),
			wantStatus: 401, wantHeader: invalid, wantBody: "the token is invalid",
		},
		{name: "no token at all", path: "/orders/7", header: bearer("rubbish"), wantStatus: 401, wantHeader: invalid, wantBody: "the token is invalid"},
		{
			name: "two tokens in one place", path: "/orders/7", header: http.Header{"Authorization": {"Bearer " + clerk, "Bearer " + clerk}}, wantStatus: 400,
			wantHeader: challenge(`Bearer error="invalid_request", error_description="the request carries more than one credential"`),
			wantBody:   "the request carries more than one credential",
		},
		{name: "an encoded slash", path: "/public/..%2forders", wantStatus: 400, wantBody: malformed, wantHeader: unchallenged},
		{name: "an encoded backslash", path: "/public/..%5corders", wantStatus: 400, wantBody: malformed},
		{name: "a doubly encoded byte", path: "/public/%252e%252e/orders", wantStatus: 400, wantBody: malformed},
		{name: "dot segments that Envoy resolves", path: "/public/../orders/7", wantStatus: 401},
		{name: "encoded dot segments that Envoy resolves", path: "/public/%2e%2e/orders/7", wantStatus: 401},
		{name: "slashes that Envoy joins", path: "/public/..//orders/7", wantStatus: 401},
	}
}
