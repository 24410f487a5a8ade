package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// maxRequestBytes is that of deploy/envoy/envoy.yaml, and the default of request.maxBodyBytes.
const maxRequestBytes = 1 << 20

// Bodies come packed as bytes, as shipped, or as text.
func TestEnvoyBodies(t *testing.T) {
	asText := edit{"pack_as_bytes: true", "pack_as_bytes: false"}
	binary, text := "\x00\xff\xfe{}", `{"name": "grüße", "amounts": [1, 2.5]}`
	forms := []struct {
		name       string
		edits      []edit
		wantBinary sight
		wantJSON   sight
	}{
		{
			name: "as bytes", wantBinary: sight{RawBody: []byte(binary)}, wantJSON: sight{RawBody: []byte(text)},
		},
		{
			// Envoy writes "!" for a byte that is not UTF-8.
			name: "as text", edits: []edit{asText}, wantBinary: sight{Body: "\x00!!{}"}, wantJSON: sight{Body: text},
		},
	}
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			t.Run("rules", func(t *testing.T) { bodyRules(t, startMesh(t, setup{config: "routes.yaml", edits: form.edits})) })
			m := startMesh(t, setup{config: "cases.yaml", edits: form.edits})
			form.wantJSON.ParsedBody = map[string]any{"name": "grüße", "amounts": []any{1.0, 2.5}}
			for _, tc := range []struct {
				name, contentType, body string
				want                    sight
			}{
				{name: "JSON", contentType: "application/json", body: text, want: form.wantJSON},
				{name: "binary", contentType: "application/octet-stream", body: binary, want: form.wantBinary},
				{
					name: "truncated", contentType: "application/json", body: padded(maxRequestBytes+1, ""), want: sight{Truncated: true},
				},
			} {
				t.Run(tc.name, func(t *testing.T) {
					got := m.saw(t, exchange{header: http.Header{"Content-Type": {tc.contentType}}, body: tc.body})
					got.Extensions, got.Address = nil, ""
					if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
						t.Errorf("policy saw (-want +got):\n%s", diff)
					}
				})
			}
		})
	}
}

// Below request.maxBodyBytes nothing tells that a body of unknown length was cut, but Envoy's mark.
func TestEnvoyMarksTruncatedBodies(t *testing.T) {
	m := startMesh(t, setup{config: "cases.yaml", edits: []edit{{"max_request_bytes: 1048576", "max_request_bytes: 1000"}}})
	for protocol, client := range clients() {
		t.Run(protocol, func(t *testing.T) {
			e := exchange{path: "/saw", header: http.Header{"Content-Type": {"application/json"}}}
			got := e.sendFrom(t, client, m.url, io.MultiReader(strings.NewReader(padded(5000, "")))).sight(t)
			if diff := cmp.Diff(sight{Truncated: true}, got); diff != "" {
				t.Errorf("policy saw (-want +got):\n%s", diff)
			}
		})
	}
}

// bodyRules asks the shipped policy, whose rule admits amounts up to 1000.
func bodyRules(t *testing.T, m *mesh) {
	header := headers(bearer(m.token(t, nil)), http.Header{"Content-Type": {"application/json"}})
	table := []exchange{
		{name: "within the bounds", body: `{"amount": 1000}`, wantStatus: 200},
		{name: "beyond the bounds", body: `{"amount": 1000.01}`, wantStatus: 403},
		{name: "another type", body: `{"amount": "1"}`, wantStatus: 403},
		{name: "the largest whole one", body: padded(maxRequestBytes, ""), wantStatus: 200},
		{name: "one byte more", body: padded(maxRequestBytes+1, ""), wantStatus: 403},
		{name: "more behind a whole document", body: padded(maxRequestBytes, `{"amount": 5000}`), wantStatus: 403},
		{name: "not JSON", body: `{"amount": 1`, wantStatus: 400, wantBody: "the request body is malformed"},
		{name: "a member that comes twice", body: `{"amount": 1, "amount": 5000}`, wantStatus: 400, wantBody: "the request body is malformed"},
		{name: "none", method: http.MethodPost, wantStatus: 403},
	}
	for i := range table {
		table[i].path, table[i].header = "/payments", header
	}
	m.each(t, table)
	// Of a body without a length Envoy asks as soon as there is enough, and does not say that there
	// may be more. Such a body ends here only after the decision.
	for protocol, client := range clients() {
		t.Run(protocol+"/as much as fits, and no end yet", func(t *testing.T) {
			r, w := io.Pipe()
			defer r.Close()
			_, decided := m.decisions.read()
			go func() {
				io.WriteString(w, padded(maxRequestBytes, ""))
				<-decided
				w.Close()
			}()
			e := exchange{path: "/payments", header: header}
			if got := e.sendFrom(t, client, m.url, r); got.status != 403 {
				t.Errorf("status %d, want 403; body %q", got.status, got.body)
			}
		})
		t.Run(protocol+"/a long one of unknown length, without a body rule", func(t *testing.T) {
			body := io.MultiReader(strings.NewReader(padded(3*maxRequestBytes, "")))
			e := exchange{path: "/public/upload", header: header}
			if got := e.sendFrom(t, client, m.url, body); got.status != 200 {
				t.Errorf("status %d; body %q", got.status, got.body)
			}
		})
	}
}

// padded is a JSON document with spaces behind it up to size, and then more.
func padded(size int, more string) string {
	const document = `{"amount": 1}`
	return document + strings.Repeat(" ", size-len(document)) + more
}
