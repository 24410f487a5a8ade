package policy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// showInput makes of the input document an answer, so that it can be looked at.
const showInput = `allow := {"allowed": true, "dynamic_metadata": {"input": input}}`

func input(t testing.TB, e *policy.Engine, req *authz.Request, id authz.Identity) (map[string]any, error) {
	t.Helper()
	d, err := e.Decide(t.Context(), req, id)
	if err != nil {
		return nil, err
	}
	return d.Metadata["input"].(map[string]any), nil
}

func TestInput(t *testing.T) {
	path, err := authz.ParsePath("//orders/a%20b/?q=1&q=2&r=")
	if err != nil {
		t.Fatal(err)
	}
	source := authz.Peer{
		Address: "10.1.2.3", Port: 41234, Principal: "spiffe://cluster.local/ns/shop/sa/frontend",
		Service: "frontend", Labels: map[string]string{"app": "frontend"}, Certificate: "-----BEGIN%20CERTIFICATE-----",
	}
	whole := authz.Request{
		Time:              time.Unix(1795435200, 5000000),
		Source:            source,
		Destination:       authz.Peer{Address: "10.1.2.4", Port: 8080, Principal: "spiffe://cluster.local/ns/shop/sa/orders"},
		TLSSession:        &authz.TLSSession{SNI: "shop.example.com"},
		ContextExtensions: map[string]string{"tenant": "acme"},
		FilterMetadata:    map[string]any{"envoy.filters.http.jwt_authn": map[string]any{"payload": map[string]any{"n": 1.5}}},
		RouteMetadata:     map[string]any{"envoy-gateway": map[string]any{"resources": []any{"a"}}},
		HTTP: &authz.HTTP{
			ID: "123", Method: "POST", Scheme: "https", Host: "shop.example.com", Path: path, Protocol: "HTTP/2", Size: -1,
			Headers: authz.Headers{":path": {"//orders/a%20b/?q=1&q=2&r="}, "content-type": {"application/json"}, "x-many": {"a", "b"}},
			Body:    `{"amount": 100, "list": [1.50, null, true]}`,
		},
	}
	raw := authz.Request{HTTP: &authz.HTTP{
		Method: "GET", Path: authz.Path{Raw: "/", Segments: []string{""}},
		Headers: authz.Headers{"x-many": {"a", "b"}, "content-type": {"application/json"}},
		RawHeaders: []authz.RawHeader{
			{Name: "x-many", RawValue: []byte("a")}, {Name: "x-many", Value: "b"}, {Name: "content-type", RawValue: []byte("application/json")},
		},
		RawBody: []byte(`{"a":1}`),
	}}
	tests := []struct {
		name string
		req  authz.Request
		id   authz.Identity
	}{
		{"whole", whole, authz.Identity{Tokens: map[string]authz.Token{
			"users": {
				Status: authz.TokenValid,
				Issuer: "https://login.example.com",
				Claims: map[string]any{"sub": "ann", "exp": json.Number("1795435200"), "roles": []any{"admin"}, "address": map[string]any{"x": nil}},
				Header: map[string]any{"alg": "RS256", "kid": "k1"},
			},
			"workload": {Status: authz.TokenMissing},
		}}},
		{"raw_headers", raw, authz.Identity{}},
		{"network", authz.Request{Source: source, Destination: authz.Peer{Address: "10.1.2.4", Service: "db.example.com"}}, authz.Identity{}},
		{"pipe", authz.Request{Source: authz.Peer{Pipe: "/run/envoy.sock"}, TLSSession: &authz.TLSSession{}}, authz.Identity{}},
	}
	e := engine(t, showInput)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := input(t, e, &tt.req, tt.id)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "input", tt.name+".json")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				writeGolden(t, golden, got)
			}
			text, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("input (-want +got):\n%s", diff)
			}
		})
	}
}

func writeGolden(t *testing.T, name string, value any) {
	t.Helper()
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestNumbersAreExact has numbers that a float64 cannot hold.
func TestNumbersAreExact(t *testing.T) {
	e := engine(t, `allow if {
	input.tokens.users.claims.id == 9007199254740993
	input.parsed_body.id == 9007199254740993
	input.parsed_body.cents == 0.1
}`)
	req := post(t, "application/json", `{"id": 9007199254740993, "cents": 0.1}`)
	id := authz.Identity{Tokens: map[string]authz.Token{"users": {
		Status: authz.TokenValid, Claims: map[string]any{"id": json.Number("9007199254740993")},
	}}}
	if d, err := e.Decide(t.Context(), req, id); err != nil || !d.Allowed {
		t.Errorf("got %+v, %v, want an allow", d, err)
	}
}

func TestAmbiguousPath(t *testing.T) {
	e := engine(t, `allow := input.path_ambiguous`)
	for path, want := range map[string]bool{"/a/../b": true, "/a/b": false} {
		if d, err := e.Decide(t.Context(), get(t, path), authz.Identity{}); err != nil || d.Allowed != want {
			t.Errorf("%s: got %+v, %v, want %v", path, d, err, want)
		}
	}
}

func TestInputOfNoJSONType(t *testing.T) {
	odd := map[string]any{"x": func() {}}
	tests := []struct {
		name string
		req  authz.Request
		id   authz.Identity
		want authz.Reason
	}{
		{name: "metadata", req: authz.Request{FilterMetadata: odd}, want: authz.MalformedRequest},
		{name: "route metadata", req: authz.Request{RouteMetadata: odd}, want: authz.MalformedRequest},
		{name: "claims", id: oneToken(authz.Token{Status: authz.TokenValid, Claims: odd}), want: authz.Internal},
		{name: "token header", id: oneToken(authz.Token{Status: authz.TokenValid, Header: odd}), want: authz.Internal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := engine(t, "allow if count(input) > 0").Decide(t.Context(), &tt.req, tt.id); err == nil || authz.ReasonOf(err) != tt.want {
				t.Errorf("error %v (%s), want %s", err, authz.ReasonOf(err), tt.want)
			}
		})
	}
}

func oneToken(token authz.Token) authz.Identity {
	return authz.Identity{Tokens: map[string]authz.Token{"users": token}}
}
