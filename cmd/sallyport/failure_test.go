package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Envoy asks Sallyport's health, and turns everybody away when nobody can decide.
func TestEnvoyWithoutSallyport(t *testing.T) {
	m := startMesh(t, setup{config: "routes.yaml", edits: askingOften()})
	public := exchange{path: "/public/page", wantStatus: 200}
	public.run(t, m, http1())
	m.awaitHealth(t, "healthy")

	m.stop()
	refused := exchange{path: "/public/page", wantStatus: 503}
	refused.run(t, m, http1())
	m.awaitHealth(t, "/failed_active_hc")
	refused.run(t, m, http1())
}

// One NOT_SERVING is enough, whatever unhealthy_threshold says: that is for those who do not answer.
// So a drain must last little more than one interval.
func TestEnvoyBelievesNotServing(t *testing.T) {
	m := startMesh(t, setup{
		config: "routes.yaml", settings: []edit{{"drain: {delay: 0s}", "drain: {delay: 3s}"}},
		edits: append(askingOften(), edit{"unhealthy_threshold: 2", "unhealthy_threshold: 1000"}),
	})
	m.awaitHealth(t, "healthy")
	stopped := make(chan struct{})
	go func() { m.stop(); close(stopped) }()
	m.awaitHealth(t, "/failed_active_hc")
	// There is no other to go to, and below healthy_panic_threshold Envoy asks those it has.
	exchange{path: "/public/page", wantStatus: 200}.run(t, m, http1())
	<-stopped
}

// awaitHealth waits until Envoy says this of the cluster sallyport.
func (m *mesh) awaitHealth(t *testing.T, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		text := m.ask(t, "/clusters")
		for line := range strings.Lines(text) {
			_, flags, found := strings.Cut(strings.TrimSpace(line), "::health_flags::")
			if found && strings.HasPrefix(line, "sallyport::") && flags == want {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("Envoy does not say %s; there is:\n%s", want, text)
		}
	}
}

// ask asks Envoy's admin listener.
func (m *mesh) ask(t *testing.T, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http1().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Where an operator sets failure_mode_allow, a gRPC error from us would be an allow. No input of
// a client may cause one (rule 2).
func TestEnvoyFailureModeAllow(t *testing.T) {
	m := startMesh(t, setup{config: "routes.yaml", edits: []edit{
		{"failure_mode_allow: false", "failure_mode_allow: true"},
		{"max_request_bytes: 1048576", "max_request_bytes: 4194304"}, // above request.maxBodyBytes
		{"- name: ingress\n", "- name: ingress\n    per_connection_buffer_limit_bytes: 8388608\n"},
	}})
	const malformed = "the request is malformed"
	deep := strings.Repeat("[", 1<<20)
	json := http.Header{"Content-Type": {"application/json"}}
	m.each(t, []exchange{
		{name: "what is allowed anyway", path: "/public/page", wantStatus: 200},
		{name: "no token", path: "/orders/7", wantStatus: 401},
		{name: "a bad token", path: "/public/page", header: bearer("a.b.c"), wantStatus: 401, wantBody: "the token is invalid"},
		{name: "a long bad token", path: "/public/page", header: bearer(strings.Repeat("x", 50000)), wantStatus: 401, wantBody: "the token is invalid"},
		{name: "an ambiguous path", path: "/public/..%2forders", wantStatus: 400, wantBody: malformed},
		{name: "a path that is not UTF-8", path: "/public/%ff", wantStatus: 400, wantBody: malformed},
		{name: "a query that is not UTF-8", path: "/public/page?a=%ff", wantStatus: 400, wantBody: malformed},
		{name: "a bad escape", path: "/public/page?a=%zz", wantStatus: 400, wantBody: malformed},
		{
			name: "header bytes that are not UTF-8", path: "/public/page", header: http.Header{"X-Any": {"caf\xe9"}},
			wantStatus: 400, wantBody: malformed,
		},
		{
			name: "a body above request.maxBodyBytes", path: "/public/upload", body: strings.Repeat("x", 2<<20),
			wantStatus: 413, wantBody: "the request is too large",
		},
		{name: "a body that is too deep", path: "/public/upload", header: json, body: deep, wantStatus: 400, wantBody: "the request body is malformed"},
		{name: "a body that is not UTF-8", path: "/public/upload", header: json, body: "\"\xff\"", wantStatus: 400, wantBody: "the request body is malformed"},
	})
	t.Run("with Sallyport stopped everybody gets in", func(t *testing.T) { // else the cases above prove nothing
		m.stop()
		exchange{path: "/orders/7", wantStatus: 200}.run(t, m, http1())
	})
}
