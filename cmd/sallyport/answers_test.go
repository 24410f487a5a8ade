package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a policy can answer, and what Envoy makes of it.
func TestEnvoyAnswers(t *testing.T) {
	m := startMesh(t, setup{
		config: "cases.yaml",
		edits:  []edit{{"context_extensions: {virtual_host: default}", "context_extensions: {virtual_host: default, tenant: acme}"}},
	})
	t.Run("allowed", func(t *testing.T) { m.each(t, allowedAnswers(t, m)) })
	t.Run("denied", func(t *testing.T) { m.each(t, deniedAnswers(t, m)) })
	t.Run("policy sees the operator's words about a route", func(t *testing.T) {
		got := m.saw(t, exchange{header: http.Header{"X-Forwarded-For": {"10.0.0.1"}}})
		if diff := cmp.Diff(map[string]string{"virtual_host": "default", "tenant": "acme"}, got.Extensions); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got.Address != "127.0.0.1" {
			t.Errorf("source address %q, want the connection's", got.Address)
		}
	})
	t.Run("the decision's id is in the access log", func(t *testing.T) { sameID(t, m) })
}

func allowedAnswers(t *testing.T, m *mesh) []exchange {
	alice := bearer(m.token(t, nil))
	return []exchange{
		{
			name: "headers are set, joined and removed", path: "/headers",
			header:     http.Header{"X-Policy": {"forged", "twice"}, "X-List": {"c"}, "X-None": {"forged"}, "X-Internal": {"1"}, "X-Kept": {"1", "2"}},
			wantStatus: 200,
			wantUpstream: http.Header{
				"X-Policy": {"decided"}, "X-List": {"a,b"}, "X-None": nil, "X-Internal": nil, "X-Kept": {"1", "2"}, "X-User": nil,
			},
		},
		{
			name: "a header that only another answer sets is removed", path: "/response",
			header: http.Header{"X-List": {"forged"}, "X-Saw": {"forged"}}, wantStatus: 200, wantUpstream: http.Header{"X-List": nil, "X-Saw": nil},
		},
		{
			name: "the policy's header goes before the token's", path: "/override", header: alice,
			wantStatus: 200, wantUpstream: http.Header{"X-User": {"the policy's"}, "Authorization": nil},
		},
		{
			name: "response headers are added, cookies to those of the upstream", path: "/response", wantStatus: 200,
			wantHeader: http.Header{
				"Set-Cookie":      {"upstream=1", "a=1; Path=/", "b=2"},
				"X-Frame-Options": {"DENY"}, "X-Policy": {"decided"}, "X-Upstream": {"its own"},
			},
		},
		{
			name: "one cookie is added", path: "/cookie", wantStatus: 200,
			wantHeader: http.Header{"Set-Cookie": {"upstream=1", "a=1"}},
		},
		{
			name: "query parameters are set and removed, encoded, sorted by Envoy", wantStatus: 200,
			path:    "/query?debug=1&keep=%26&debug=2&a%20b=3&a+b=4&role=admin&r%6Fle=root",
			wantURI: "/query?gr%C3%BC%C3%9Fe=%C3%BC&keep=%26&role=reader&who=a%26b%3Dc%20d",
		},
	}
}

func deniedAnswers(t *testing.T, m *mesh) []exchange {
	alice := bearer(m.token(t, nil))
	return []exchange{
		{
			name: "a status, a body and headers of its own", path: "/teapot", wantStatus: 418, wantBody: `{"error":"short and stout"}`,
			wantHeader: http.Header{
				"Content-Type": {"application/json"}, "X-Why": {"tea", "pot"}, "Set-Cookie": {"a=1", "b=2"}, "Www-Authenticate": nil,
			},
		},
		{
			name: "a redirection", path: "/login", wantStatus: 302,
			wantHeader: http.Header{"Location": {"https://login.example.com/?next=%2Fa"}},
		},
		{
			name: "a challenge of its own", path: "/basic", wantStatus: 401,
			wantHeader: http.Header{"Www-Authenticate": {`Basic realm="policy"`}},
		},
		{name: "a status that would be a success", path: "/success", wantStatus: 403},
		{name: "an unknown key", path: "/unknown-key", header: alice, wantStatus: 403},
		{name: "a builtin that fails", path: "/builtin-error", header: headers(alice, http.Header{"X-Number": {"many"}}), wantStatus: 403},
		{name: "no answer", path: "/nowhere", wantStatus: 401, wantHeader: http.Header{"Www-Authenticate": {"Bearer"}}},
	}
}

// sight is what policy saw of a request.
type sight struct {
	Extensions map[string]string
	Address    string
	Body       string
	RawBody    []byte `json:"raw_body"`
	ParsedBody any    `json:"parsed_body"`
	Truncated  bool   `json:"truncated_body"`
}

// saw sends a request and reads what policy saw of it.
func (m *mesh) saw(t *testing.T, e exchange) sight {
	t.Helper()
	e.path = "/saw"
	got := e.send(t, http1(), m.url)
	if body := got.reached(t).Body; string(body) != e.body {
		t.Errorf("the upstream got %d bytes of %d", len(body), len(e.body))
	}
	return got.sight(t)
}

// sight reads what policy saw of an allowed request for /saw.
func (a answer) sight(t *testing.T) sight {
	t.Helper()
	var s sight
	if err := json.Unmarshal([]byte(a.reached(t).Header.Get("X-Saw")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// An accessEntry is a line of Envoy's access log.
type accessEntry struct {
	Path       string `json:"path"`
	Status     int    `json:"status"`
	DecisionID string `json:"decision_id"`
	TraceID    string `json:"trace_id"`
}

// A decisionEntry is a line of Sallyport's.
type decisionEntry struct {
	ID      string `json:"decision_id"`
	Path    string `json:"path"`
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason"`
	Status  int    `json:"status"`
	Source  struct {
		Principal string `json:"principal"`
	} `json:"source"`
}

// Neither log repeats the query.
func sameID(t *testing.T, m *mesh) {
	for _, e := range []exchange{
		{name: "of an allow", path: "/logged?id=1", wantStatus: 200},
		{name: "of a denial", path: "/logged/elsewhere?id=2", wantStatus: 401},
		{name: "of a request that no policy saw", path: "/logged/%2felsewhere?id=3", wantStatus: 400, wantBody: "the request is malformed"},
	} {
		t.Run(e.name, func(t *testing.T) {
			e.run(t, m, http1())
			path, _, _ := strings.Cut(e.path, "?")
			decision := await(t, m.decisions, func(d decisionEntry) bool { return d.Path == path })
			entry := await(t, m.access, func(a accessEntry) bool { return a.Path == path })
			if entry.DecisionID != decision.ID || entry.Status != e.wantStatus || decision.Allowed != (e.wantStatus == 200) {
				t.Errorf("Envoy wrote %+v, Sallyport %+v", entry, decision)
			}
		})
	}
}
