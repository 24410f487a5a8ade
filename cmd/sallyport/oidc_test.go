package main

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// A foreign OpenID provider, found by discovery: its tokens, and two rotations of its keys. The
// first publishes the new key beside the old, the second withdraws both.
func TestEnvoyOpenIDProvider(t *testing.T) {
	p := startProvider(t, "first")
	m := startMesh(t, setup{config: "oidc.yaml", settings: []edit{{"https://provider.example.com", p.Issuer}}})
	const audience, allowed = "https://orders.example.com", "allowed"

	first := p.token(t, audience)
	m.decides(t, "an access token", first, allowed)
	m.decides(t, "a token for another audience", p.token(t, "https://billing.example.com"), "token_audience")
	if t.Failed() {
		return // what follows would only repeat it
	}

	p.publish(t, "second", "first")
	second := p.token(t, audience)
	m.decides(t, "a token of the new key", second, allowed)
	m.decides(t, "a token of the old key, still published", first, allowed)

	p.publish(t, "third")
	m.decides(t, "a token of the newest key", p.token(t, audience), allowed)
	// That token made Sallyport read the set, so the withdrawal is known without its minute passing.
	m.decides(t, "a token of the first key, withdrawn", first, "token_key_unknown")
	m.decides(t, "a token of the second key, withdrawn", second, "token_key_unknown")
}

// decides sends a token through Envoy, twice, and wants a decision for this reason.
func (m *mesh) decides(t *testing.T, name, token, reason string) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		e := exchange{
			path: "/orders/" + t.Name(), header: headers(bearer(token), http.Header{"X-Workload": {"forged"}}),
			wantStatus: http.StatusOK, wantUpstream: http.Header{"X-Workload": {"frontend"}, "Authorization": nil},
		}
		if reason != "allowed" {
			e.wantStatus, e.wantBody = http.StatusUnauthorized, "the token is invalid"
			e.wantHeader = http.Header{"Www-Authenticate": {`Bearer error="invalid_token", error_description="the token is invalid"`}}
		}
		if status := m.settled(t, e); status != e.wantStatus {
			t.Fatalf("status %d at first, want %d", status, e.wantStatus)
		}
		e.run(t, m, http1())
		got := await(t, m.decisions, func(d decisionEntry) bool { return d.Path == e.path && d.Status != http.StatusServiceUnavailable })
		if got.Reason != reason {
			t.Errorf("reason %q, want %q", got.Reason, reason)
		}
	})
}

// settled sends a request until it is decided, and returns the status. On a machine under load the
// provider's keys may come later than a check waits for them; 503 asks to come again.
func (m *mesh) settled(t *testing.T, e exchange) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		got := e.send(t, http1(), m.url)
		if got.status != http.StatusServiceUnavailable {
			return got.status
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("still undecided: %q", got.body)
		}
	}
}
