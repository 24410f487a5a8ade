package casefile_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
)

func TestRequest(t *testing.T) {
	got := request(t, `
method: PUT
url: https://Shop.example.com:443/orders/7?b=%20#top
headers: {X-List: [a, b], Accept: text/plain}
json: {amount: 1000.50}
source: {principal: spiffe://example.org/cart, address: 10.1.2.3, port: 4711, labels: {app: cart}}
destination: {address: 10.0.0.1, port: 443, service: orders}
time: 2026-11-24T09:00:00+01:00
context_extensions: {policy: orders}
metadata_context: {envoy.filters.http.x: {a: [1]}}
sni: shop.example.com
`)
	path, err := authz.ParsePath("/orders/7?b=%20")
	if err != nil {
		t.Fatal(err)
	}
	raw := func(name, value string) authz.RawHeader { return authz.RawHeader{Name: name, RawValue: []byte(value)} }
	want := &authz.Request{
		Time:              time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC),
		Source:            authz.Peer{Principal: "spiffe://example.org/cart", Address: "10.1.2.3", Port: 4711, Labels: map[string]string{"app": "cart"}},
		Destination:       authz.Peer{Address: "10.0.0.1", Port: 443, Service: "orders"},
		TLSSession:        &authz.TLSSession{SNI: "shop.example.com"},
		ContextExtensions: map[string]string{"policy": "orders"},
		FilterMetadata:    got.FilterMetadata,
		HTTP: &authz.HTTP{
			Method: "PUT", Scheme: "https", Host: "Shop.example.com", Path: path, Protocol: "HTTP/1.1", Size: 18,
			Headers: authz.Headers{
				":authority": {"Shop.example.com"}, ":path": {"/orders/7?b=%20"}, ":method": {"PUT"}, ":scheme": {"https"},
				"x-list": {"a", "b"}, "accept": {"text/plain"}, "content-type": {"application/json"}, "content-length": {"18"},
				"x-forwarded-proto": {"https"}, "x-envoy-auth-partial-body": {"false"},
			},
			RawHeaders: []authz.RawHeader{
				raw(":authority", "Shop.example.com"), raw(":path", "/orders/7?b=%20"), raw(":method", "PUT"), raw(":scheme", "https"),
				raw("x-list", "a"), raw("x-list", "b"), raw("accept", "text/plain"), raw("content-type", "application/json"),
				raw("x-forwarded-proto", "https"), raw("content-length", "18"), raw("x-envoy-auth-partial-body", "false"),
			},
			RawBody: []byte(`{"amount":1000.50}`),
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestRequestForms(t *testing.T) {
	tests := []struct {
		name, fields string
		check        func(*authz.Request) any
		want         any
	}{
		{name: "network", fields: "{network: true, source: {principal: p}}", check: func(r *authz.Request) any { return r }, want: &authz.Request{Source: authz.Peer{Principal: "p"}}},
		{name: "repeated headers, joined", fields: "{headers: {a: [b, c]}, encode_raw_headers: false}", check: func(r *authz.Request) any { return r.HTTP.Headers["a"] }, want: []string{"b,c"}},
		{name: "no header map", fields: "{encode_raw_headers: false}", check: func(r *authz.Request) any { return len(r.HTTP.RawHeaders) }, want: 0},
		{name: "a text body", fields: `{base64: "YWL/", pack_as_bytes: false}`, check: func(r *authz.Request) any { return r.HTTP.Body }, want: "ab!"},
		{name: "a packed body", fields: `{base64: "YWL/"}`, check: func(r *authz.Request) any { return string(r.HTTP.RawBody) }, want: "ab\xff"},
		{name: "truncated", fields: `{body: x, truncated: true}`, check: func(r *authz.Request) any {
			return []string{r.HTTP.Headers.Joined("x-envoy-auth-partial-body"), r.HTTP.Headers.Joined("content-length")}
		}, want: []string{"true", ""}},
		{name: "a host header", fields: `{headers: {Host: a.example}}`, check: func(r *authz.Request) any { return r.HTTP.Host + r.HTTP.Headers.Joined("host") }, want: "a.example"},
		{name: "an ambiguous path", fields: `{path: /a/../b}`, check: func(r *authz.Request) any { return r.HTTP.Path.Ambiguity }, want: "a dot segment"},
		{name: "a path without a reading", fields: `{path: /a%zz}`, check: func(r *authz.Request) any { return authz.ReasonOf(r.Fault) }, want: authz.MalformedRequest},
		{name: "a user in the URL", fields: `{url: "http://ann:p%40ss@x/"}`, check: func(r *authz.Request) any { return r.HTTP.Headers["authorization"] }, want: []string{"Basic YW5uOnBAc3M="}},
		{name: "curl beside what Envoy adds", fields: `{curl: curl https://x/y, source: {address: 1.2.3.4}}`, check: func(r *authz.Request) any { return r.HTTP.Path.Raw + r.Source.Address }, want: "/y1.2.3.4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.check(request(t, tt.fields))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("cases:\n- note: n\n  request: {path: /x, json: [1, {a: b}]}\n  tokens: {u: {claims: {}}}\n  expect: {allowed: true}\n")
	f.Add("{\"cases\": [{\"request\": \"curl x\"}]}")
	f.Add("a: &a [*a]")
	f.Add("? [x]\n: y\n")
	f.Add("<<: {a: b}")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := casefile.Parse("f", []byte(text))
		if (file == nil) != (err != nil) || err != nil && !casefile.IsMistakes(err) {
			t.Fatalf("%v, %v", file, err)
		}
		if err != nil {
			return
		}
		for _, c := range file.Cases {
			if c.Note == "" || c.Request == nil {
				t.Errorf("an incomplete case: %+v", c)
			}
		}
	})
}
