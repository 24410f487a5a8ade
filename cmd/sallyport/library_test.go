package main

import (
	"maps"
	"net/http"
	"testing"
	"time"
)

// The shipped policy asks for another authentication where nothing else is missing. The age is counted
// to the time that Envoy gives the request.
func TestEnvoyStepUp(t *testing.T) {
	m := startMesh(t, setup{config: "routes.yaml"})
	authenticated := func(ago time.Duration, changes map[string]any) http.Header {
		claims := map[string]any{"roles": []string{"clerk"}, "acr": "phr", "auth_time": time.Now().Add(-ago).Unix()}
		maps.Copy(claims, changes)
		return bearer(m.token(t, claims))
	}
	again := http.Header{"Www-Authenticate": {`Bearer error="insufficient_user_authentication", ` +
		`error_description="a stronger or more recent authentication is required", acr_values="phr phrh", max_age="900"`}}
	m.each(t, []exchange{
		{name: "fresh and strong", path: "/transfers", header: authenticated(time.Minute, nil), wantStatus: 200},
		{name: "too long ago", path: "/transfers", header: authenticated(16*time.Minute, nil), wantStatus: 401, wantHeader: again},
		{name: "nobody knows when", path: "/transfers", header: authenticated(0, map[string]any{"auth_time": nil}), wantStatus: 401, wantHeader: again},
		{name: "in the future", path: "/transfers", header: authenticated(-time.Hour, nil), wantStatus: 401, wantHeader: again},
		{name: "too weak", path: "/transfers", header: authenticated(0, map[string]any{"acr": "pwd"}), wantStatus: 401, wantHeader: again},
		{
			name: "what would not suffice is not asked for", path: "/transfers", header: authenticated(time.Hour, map[string]any{"roles": []string{"reader"}}),
			wantStatus: 403, wantHeader: http.Header{"Www-Authenticate": nil},
		},
		{name: "no token", path: "/transfers", wantStatus: 401, wantHeader: http.Header{"Www-Authenticate": {"Bearer"}}},
	})
}

// A policy of one's own, whose files have nothing of the library.
func TestEnvoyLibrary(t *testing.T) {
	m := startMesh(t, setup{config: "library.yaml"})
	reader := bearer(m.token(t, map[string]any{"scope": "orders:read", "roles": []string{"clerk"}}))
	suspended := bearer(m.token(t, map[string]any{"scope": "orders:write", "roles": []string{"clerk", "suspended"}}))
	inJSON := http.Header{"Content-Type": {"application/json"}}
	inForm := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	m.each(t, []exchange{
		{name: "scope and hour", path: "/orders/7", header: reader, wantStatus: 200},
		{
			name: "another scope", path: "/orders/7", header: suspended, wantStatus: 403,
			wantHeader: http.Header{"Www-Authenticate": {`Bearer error="insufficient_scope", error_description="the token lacks a scope", scope="orders:read"`}},
		},
		{name: "no token", path: "/orders/7", wantStatus: 401},
		{name: "another path", path: "/orders/7/items", header: reader, wantStatus: 403},
		{name: "a body within its bounds", path: "/refunds", body: `{"amount": 10}`, header: headers(reader, inJSON), wantStatus: 200},
		{name: "a body beyond its bounds", path: "/refunds", body: `{"amount": 1001}`, header: headers(reader, inJSON), wantStatus: 403},
		{name: "a body with more", path: "/refunds", body: `{"amount": 10, "to": "me"}`, header: headers(reader, inJSON), wantStatus: 403},
		{name: "a form", path: "/refunds", body: `amount=10`, header: headers(reader, inForm), wantStatus: 403},
		{name: "a role that must not be", path: "/refunds", body: `{"amount": 10}`, header: headers(suspended, inJSON), wantStatus: 403},
	})
}
