package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"

	"github.com/sallyport/sallyport/pkg/telemetry/telemetrytest"
)

// Credentials reach no log, no span and no denial (rule 7), however the check ends. OTLP goes over
// HTTP here, the default of OpenTelemetry.
func TestEnvoySecrets(t *testing.T) {
	c := startCollector(t, "")
	m := startMesh(t, setup{config: "routes.yaml", settings: []edit{{`admin: ""`, "admin: 127.0.0.1:0"}}, collector: c.Addr(), edits: []edit{tracesAtOnce()}})
	plants := plant(t, m)
	var answers []string
	for _, e := range plants.exchanges() {
		t.Run(e.name, func(t *testing.T) {
			got := e.send(t, http1(), m.url)
			if got.status != e.wantStatus {
				t.Errorf("status %d, want %d", got.status, e.wantStatus)
			}
			if got.status != http.StatusOK { // what is allowed is echoed
				answers = append(answers, fmt.Sprint(got.header), got.body)
			}
		})
	}
	last := "/public/the-last-one"
	exchange{path: last, wantStatus: 200}.run(t, m, http1())
	await(t, m.access, func(a accessEntry) bool { return a.Path == last })
	metrics := m.scrape(t)
	m.stop() // writes and exports what is left
	checks := len(plants.exchanges()) + 1
	ours := spans(t, c, checks, func(s telemetrytest.Span) bool { return s.Service == "sallyport" })
	envoys := spans(t, c, 2*checks, func(s telemetrytest.Span) bool { return s.Service == "envoy" })
	kept := c.Kept()
	if len(kept.Metrics) == 0 || len(kept.Logs) == 0 {
		t.Errorf("%d metrics and %d messages came", len(kept.Metrics), len(kept.Logs))
	}
	for place, text := range map[string]string{
		"the decision log": m.decisions.String(),
		"standard error":   m.messages.String(),
		"our spans":        printed(ours),
		"our metrics":      fmt.Sprint(kept.Metrics),
		"our messages":     fmt.Sprint(kept.Logs),
		"/metrics":         metrics,
		"Envoy's log":      m.access.String(),
		"Envoy's spans":    printed(envoys),
		"a denial":         strings.Join(answers, "\n"),
	} {
		if text == "" {
			t.Errorf("%s has nothing", place)
		}
		for name, secret := range plants.secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s has the secret of %s", place, name)
			}
		}
	}
	if n := strings.Count(m.decisions.String(), "\n"); n != checks {
		t.Errorf("the decision log has %d lines, want %d", n, checks)
	}
}

func printed(spans []telemetrytest.Span) string {
	var texts []string
	for _, s := range spans {
		texts = append(texts, prototext.Format(s.Span))
	}
	return strings.Join(texts, "\n")
}

// Plants are requests full of secrets.
type plants struct {
	good, bad string // tokens
	secrets   map[string]string
}

func plant(t *testing.T, m *mesh) plants {
	t.Helper()
	const alphabet = "0123456789abcdef"
	good := m.token(t, map[string]any{"roles": []string{"clerk"}, "password": "planted-claim"})
	segments := strings.Split(good, ".")
	bad := segments[0] + "." + segments[1] + "." + strings.Repeat("planted0", 10) + alphabet[:6]
	return plants{good: good, bad: bad, secrets: map[string]string{
		"a token's claims": segments[1], "a token's signature": segments[2], "a bad signature": "planted0planted0",
		"a claim": "planted-claim", "a cookie": "planted-cookie", "a query": "planted-query", "a body": "planted-body",
		"a header": "planted-header", "Basic": "cGxhbnRlZC1iYXNpYw", "a malformed token": "planted-token",
	}}
}

func (p plants) exchanges() []exchange {
	common := http.Header{
		"Cookie": {"sid=planted-cookie"}, "X-Api-Key": {"planted-header"}, "Content-Type": {"application/json"},
		"Tracestate": {"vendor=planted-header"}, "Baggage": {"user=planted-header"},
	}
	with := func(name, value string) http.Header { return headers(common, http.Header{name: {value}}) }
	const body, query = `{"amount": 1, "iban": "planted-body"}`, "?key=planted-query"
	authorized := func(token string) http.Header { return with("Authorization", "Bearer "+token) }
	return []exchange{
		{name: "allowed", path: "/payments" + query, header: authorized(p.good), body: body, wantStatus: 200},
		{name: "no rule", path: "/elsewhere" + query, header: authorized(p.good), body: body, wantStatus: 403},
		{name: "Basic", path: "/orders/7" + query, header: with("Authorization", "Basic cGxhbnRlZC1iYXNpYw=="), body: body, wantStatus: 401},
		{name: "a bad signature", path: "/orders/7" + query, header: authorized(p.bad), body: body, wantStatus: 401},
		{name: "no token at all", path: "/orders/7" + query, header: authorized("planted-token"), body: body, wantStatus: 401},
		{name: "amid the header", path: "/orders/7" + query, header: with("Authorization", "planted-token Bearer "+p.good), body: body, wantStatus: 401},
		{name: "twice", path: "/orders/7" + query, header: headers(common, http.Header{"Authorization": {"Bearer " + p.good, "Bearer " + p.bad}}), wantStatus: 400},
		{name: "in a cookie", path: "/orders/7" + query, header: with("Cookie", "session=planted-token; sid=planted-cookie"), wantStatus: 401},
		{name: "in a parameter", path: "/orders/7?access_token=" + p.bad, header: common, wantStatus: 401},
		{name: "good, in a parameter", path: "/orders/7?access_token=" + p.good, header: common, wantStatus: 200},
		{name: "an ambiguous path", path: "/public/%2f" + query, header: authorized(p.good), wantStatus: 400},
		{name: "a bad query", path: "/public/page?planted-query=%zz", header: authorized(p.good), wantStatus: 400},
		{name: "a query that is no query", path: "/public/page?planted-query;" + url.QueryEscape(p.good), header: common, wantStatus: 400},
		{name: "a body that is not JSON", path: "/public/page" + query, header: authorized(p.good), body: `{"planted-body"`, wantStatus: 400},
		{name: "a body with a member twice", path: "/public/page", header: common, body: `{"planted-body": 1, "planted-body": 2}`, wantStatus: 400},
		{name: "header bytes that are not UTF-8", path: "/public/page", header: with("X-Api-Key", "planted-header\xff"), wantStatus: 400},
	}
}
