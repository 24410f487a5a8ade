package decisionlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/decisionlog"
	decisionv1 "github.com/sallyport/sallyport/proto/sallyport/decision/v1"
)

func record() *authz.Record {
	return &authz.Record{
		ID:       "d7f5",
		Time:     time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.FixedZone("", 3600)),
		Duration: 1500 * time.Microsecond,
		Request: &authz.Request{
			Source:      authz.Peer{Address: "10.1.2.3", Port: 41234, Principal: "spiffe://example.org/web", Certificate: "secret-pem"},
			Destination: authz.Peer{Address: "10.1.2.4"},
			HTTP: &authz.HTTP{
				Method: "GET", Host: "example.org",
				Path: authz.Path{Raw: "/orders?access_token=secret-query", Query: map[string][]string{"access_token": {"secret-query"}, "page": {"7", "8"}}},
				Headers: authz.Headers{
					"authorization": {"Bearer secret-token"}, "cookie": {"sid=secret-cookie; lang=de"},
					"x-tenant": {"acme"}, "x-key": {"secret8f3c2a1b9d8e7f60"},
				},
				Body: "secret-body", RawBody: []byte("secret-raw"),
			},
		},
		Identity: authz.Identity{Tokens: map[string]authz.Token{
			"users": {
				Status: authz.TokenValid, Issuer: "https://login.example.org", Header: map[string]any{"alg": "ES256", "kid": "k"},
				Claims: map[string]any{
					"iss": "https://login.example.org", "sub": "ann", "email": "secret-claim", "exp": json.Number("1800000000"),
					"aud": []any{"orders", "billing"}, "api_key": "secret-claim", "address": map[string]any{"city": "Bern", "pin": json.Number("1234")},
				},
			},
			"workload": {Status: authz.TokenMissing},
		}},
		Decision: authz.Decision{
			Reason: authz.PolicyDenied, Detail: "lacks role admin", Status: 403, Revision: "r1", Body: "secret-answer",
			Entrypoint: "data.envoy.authz.allow", Metadata: map[string]any{"rule": "orders"},
			Denial: []authz.Header{{Name: "set-cookie", Value: "secret-answer"}, {Name: "www-authenticate", Value: `Bearer realm="orders"`}},
			Basis: &authz.Basis{
				Input: []byte(`{"parsed_path":["orders"]}`), Masked: []string{"input/x"}, Incomplete: "masked values",
				Time: time.Date(2026, 11, 23, 9, 0, 0, 1, time.UTC), Results: []byte(`{"rand.intn":{"[\"x\",5]":3}}`),
			},
		},
	}
}

func traced() context.Context {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	return trace.ContextWithSpanContext(context.Background(), span)
}

// logged is what a log writes of records.
func logged(t *testing.T, keep decisionlog.Keep, records ...*authz.Record) string {
	t.Helper()
	var out bytes.Buffer
	log := decisionlog.New(decisionlog.Config{Sinks: []decisionlog.Sink{{Name: "test", Writer: &out}}, Keep: keep})
	for _, r := range records {
		if err := log.Record(traced(), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLine(t *testing.T) {
	keep := decisionlog.Keep{
		Headers: []string{"x-tenant", "x-key", "x-absent", "authorization"}, Cookies: []string{"lang", "sid"},
		Query: []string{"page", "access_token"}, Claims: []string{"exp", "aud", "api_key", "address"},
	}
	text := logged(t, keep, record())
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	want := map[string]any{
		"decision_id": "d7f5", "timestamp": "2026-11-23T09:00:00.123456789Z", "duration_us": 1500.0,
		"allowed": false, "reason": "policy_denied", "detail": "lacks role admin", "status": 403.0, "revision": "r1",
		"entrypoint": "data.envoy.authz.allow", "rule": "orders",
		"trace_id": "01000000000000000000000000000000", "span_id": "0200000000000000",
		"method": "GET", "host": "example.org", "path": "/orders",
		"headers":     map[string]any{"x-tenant": "acme", "x-key": "[masked]", "authorization": "[masked]"},
		"cookies":     map[string]any{"lang": "de", "sid": "[masked]"},
		"query":       map[string]any{"page": "7,8", "access_token": "[masked]"},
		"source":      map[string]any{"address": "10.1.2.3", "principal": "spiffe://example.org/web", "port": 41234.0},
		"destination": map[string]any{"address": "10.1.2.4"},
		"tokens": map[string]any{
			"users": map[string]any{
				"status": "valid", "issuer": "https://login.example.org", "sub": "ann", "algorithm": "ES256",
				"claims": map[string]any{
					"exp": 1.8e9, "aud": []any{"orders", "billing"}, "api_key": "[masked]",
					"address": map[string]any{"city": "Bern", "pin": "[masked]"},
				},
			},
			"workload": map[string]any{"status": "missing"},
		},
		"answer": map[string]any{"response_headers": []any{
			map[string]any{"name": "set-cookie", "value": "[masked]"},
			map[string]any{"name": "www-authenticate", "value": `Bearer realm="orders"`},
		}},
		"input": map[string]any{"parsed_path": []any{"orders"}}, "evaluated_at": "2026-11-23T09:00:00.000000001Z",
		"nd_builtin_cache": map[string]any{"rand.intn": map[string]any{`["x",5]`: 3.0}},
		"complete":         false, "incomplete": "masked values", "masked": []any{"input/x"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
	if strings.Contains(text, "secret") {
		t.Errorf("a credential reached the log: %s", text)
	}
}

// A check of the network filter, and one of nothing at all, are recorded like any other.
func TestSmallLines(t *testing.T) {
	network := record()
	network.Request.HTTP = nil
	allowed := record()
	allowed.Decision = authz.Decision{
		Allowed: true, Reason: authz.Allowed, Cached: true,
		Upstream: authz.Mutation{
			SetHeaders: []authz.Header{{Name: "x-user", Value: "ann"}}, RemoveHeaders: []string{"x-role"},
			SetQuery: []authz.Parameter{{Name: "a", Value: "b"}, {Name: "token", Value: "secret"}}, RemoveQuery: []string{"c"},
		},
	}
	nothing := &authz.Record{Request: &authz.Request{}}
	odd := record()
	odd.Identity.Tokens = map[string]authz.Token{"users": {Status: authz.TokenValid, Claims: map[string]any{
		"list": []any{[]any{map[string]any{}, nil, true}, []any{}}, "number": 1.5, "null": nil, "quote\"d": "a\nb",
	}}}
	text := logged(t, decisionlog.Keep{Claims: []string{"*"}}, network, allowed, nothing, odd)
	for i, want := range []string{
		`"reason":"policy_denied","detail":"lacks role admin","status":403,"revision":"r1","entrypoint":"data.envoy.authz.allow","rule":"orders"`,
		`"answer":{"set_headers":[{"name":"x-user","value":"ann"}],"remove_headers":["x-role"],"set_query":[{"name":"a","value":"b"},{"name":"token","value":"[masked]"}],"remove_query":["c"]}}`,
		`{"timestamp":"0001-01-01T00:00:00Z","duration_us":0,"allowed":false,"trace_id":`,
		`"claims":{"list":[[{},null,true],[]],"null":null,"number":null,"quote\"d":"a\nb"}`,
	} {
		line := strings.Split(text, "\n")[i]
		if !strings.Contains(line, want) {
			t.Errorf("line %d lacks %s:\n%s", i, want, line)
		}
		read(t, line)
	}
}

// read reads a line as the message that it is.
func read(t *testing.T, line string) *decisionv1.Decision {
	t.Helper()
	var message decisionv1.Decision
	if err := protojson.Unmarshal([]byte(line), &message); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return &message
}

// TestLineIsTheMessage reads lines as protobuf's JSON, writes them with protobuf's own names, and
// finds nothing lost: neither a member without a field nor a value.
func TestLineIsTheMessage(t *testing.T) {
	line := strings.TrimSpace(logged(t, decisionlog.Keep{Headers: []string{"x-tenant"}, Query: []string{"page"}, Cookies: []string{"lang"}, Claims: []string{"*"}}, record()))
	again, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(read(t, line))
	if err != nil {
		t.Fatal(err)
	}
	var want, got map[string]any
	if err := errors.Join(json.Unmarshal([]byte(line), &want), json.Unmarshal(again, &got)); err != nil {
		t.Fatal(err)
	}
	want["duration_us"] = "1500"  // 64-bit integers are texts in protobuf's JSON, and read as numbers too
	if want["allowed"] == false { // which the message leaves out
		delete(want, "allowed")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the message (-line +message):\n%s", diff)
	}
}

// TestWithheld has the policy mask places, of which some are recorded elsewhere too.
func TestWithheld(t *testing.T) {
	keep := decisionlog.Keep{Headers: []string{"x-tenant"}, Cookies: []string{"lang"}, Query: []string{"page"}, Claims: []string{"exp", "aud"}}
	for withheld, want := range map[string]string{
		"input/attributes/request/http/method":           `"method":"[masked]"`,
		"input/attributes/request/http/path":             `"path":"[masked]"`,
		"input/parsed_path/1":                            `"path":"[masked]"`,
		"input/attributes/request/http/headers/x-tenant": `"x-tenant":"[masked]"`,
		"input/attributes/request/http/headers/cookie":   `"lang":"[masked]"`,
		"input/parsed_query":                             `"page":"[masked]"`,
		"input/source/address":                           `"source":{"address":"[masked]","principal":"spiffe`,
		"input/attributes/source/address/socketAddress":  `"source":{"address":"[masked]","principal":"spiffe`,
		"input/source_principal":                         `"principal":"[masked]"`,
		"input/tokens/users/claims/sub":                  `"sub":"[masked]"`,
		"input/tokens/users/claims":                      `"exp":"[masked]","aud":"[masked]"`,
		"input":                                          `"method":"[masked]","host":"[masked]","path":"[masked]"`,
		"result/headers/x-user":                          `{"name":"x-user","value":"[masked]"}`,
	} {
		r := record()
		r.Decision.Denial = []authz.Header{{Name: "x-user", Value: "ann"}}
		without := logged(t, keep, r)
		r.Decision.Basis = &authz.Basis{Withheld: []string{withheld}}
		text := logged(t, keep, r)
		if !strings.Contains(text, want) || strings.Contains(without, want) {
			t.Errorf("%s: want %s in %s", withheld, want, text)
		}
		if got := read(t, text).GetWithheld(); len(got) != 1 || got[0] != withheld {
			t.Errorf("withheld %q", got)
		}
	}
}
