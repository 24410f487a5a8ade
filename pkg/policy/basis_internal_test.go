package policy

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"

	"github.com/sallyport/sallyport/pkg/authz"
)

func recordingEngine(t testing.TB, rules string, claims ...string) *snapshot {
	t.Helper()
	e, err := New(t.Context(), Config{
		Default: fstest.MapFS{
			"policy.rego": {Data: []byte("package envoy.authz\n\n" + rules + shown)},
			"other.rego":  {Data: []byte(other)},
		},
		Data: map[string]any{"key": "source"}, Recording: &Recording{Claims: claims, Body: claims},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e.current.Load().snapshots[0]
}

// replay evaluates a policy on nothing but a basis.
func replay(t *testing.T, s *snapshot, b *authz.Basis) (authz.Decision, error) {
	t.Helper()
	results := builtins.NDBCache{}
	if b.Results != nil {
		value(t, b.Results).(ast.Object).Foreach(func(builtin, calls *ast.Term) {
			calls.Value.(ast.Object).Foreach(func(arguments, result *ast.Term) {
				results.Put(string(builtin.Value.(ast.String)), value(t, []byte(arguments.Value.(ast.String))), result.Value)
			})
		})
	}
	return s.answer(t.Context(), b.Time, ast.NewTerm(value(t, b.Input)), results)
}

func value(t *testing.T, text []byte) ast.Value {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var plain any
	if err := decoder.Decode(&plain); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	v, err := ast.InterfaceToValue(plain)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestBasisIsAll has every awkward policy decide again from the basis of each decision alone, after
// the first was made, kept and found in the memo.
func TestBasisIsAll(t *testing.T) {
	const checks = 20_000
	replayed, masked := 0, 0
	for _, tt := range awkward {
		s, g := recordingEngine(t, tt.rules, "*"), newGenerator(t)
		for range checks / len(awkward) {
			req, id := g.check()
			want, wantErr := s.decide(t.Context(), time.Unix(1795435200, 0), req, id)
			if authz.ReasonOf(wantErr) == authz.BodyMalformed {
				continue // no policy was asked
			}
			if want.Basis == nil {
				t.Fatalf("%s: no basis of %+v, %v", tt.name, want, wantErr)
			}
			if want.Basis.Incomplete != "" {
				masked++
				continue
			}
			got, gotErr := replay(t, s, want.Basis)
			basis := want.Basis
			want.Basis, want.Cached = nil, false
			same(t, tt.name+": again, from the basis", want, got, wantErr, gotErr)
			if replayed++; t.Failed() {
				t.Fatalf("the basis: %s", basis.Input)
			}
		}
	}
	t.Logf("%d decisions made again, %d have masked values", replayed, masked)
	if replayed < checks*9/10 {
		t.Errorf("only %d of %d decisions could be made again", replayed, checks)
	}
}

// TestBasisOfTheMoment has what differs from check to check in the basis.
func TestBasisOfTheMoment(t *testing.T) {
	now := time.Unix(1795435200, 123456789)
	for name, rules := range map[string]string{
		"the time":   `allow := show(time.now_ns())`,
		"a number":   `allow := show([rand.intn("a", 1000000), rand.intn("b", 1000000)])`,
		"an id":      `allow := show(uuid.rfc4122(input.attributes.request.http.host))`,
		"the moment": "allow := show([time.clock(time.now_ns()), input.parsed_path])",
	} {
		t.Run(name, func(t *testing.T) {
			s, g := recordingEngine(t, rules, "*"), newGenerator(t)
			req, id := g.check()
			for req.HTTP == nil || req.HTTP.Host == "" || req.HTTP.Body != "" {
				req, id = g.check()
			}
			want, err := s.decide(t.Context(), now, req, id)
			if err != nil || want.Basis.Results == nil || !want.Basis.Time.Equal(now) || want.Basis.Incomplete != "" {
				t.Fatalf("%+v, %v", want.Basis, err)
			}
			got, err := replay(t, s, want.Basis)
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(authz.Decision{}, "Basis")); diff != "" || err != nil {
				t.Errorf("%v, (-first +again):\n%s\nfrom %s", err, diff, want.Basis.Results)
			}
		})
	}
}

// TestBasisOfMaskedResults has credentials go into builtins and come out of them.
func TestBasisOfMaskedResults(t *testing.T) {
	s := recordingEngine(t, `key := {"kty": "oct", "k": "c2VjcmV0LWtleS1vZi10aGUtcG9saWN5LWl0c2VsZg"}

allow := show(io.jwt.encode_sign({"alg": "HS256"}, {"sub": input.attributes.request.http.host}, key))`, "*")
	req := &authz.Request{HTTP: &authz.HTTP{Host: "secret-host"}}
	d, err := s.decide(t.Context(), time.Unix(1, 0), req, authz.Identity{})
	if err != nil || d.Basis.Incomplete != "masked values" {
		t.Fatalf("%+v, %v", d.Basis, err)
	}
	for _, secret := range []string{"c2VjcmV0", "eyJ", "secret-host"} {
		if bytes.Contains(d.Basis.Results, []byte(secret)) {
			t.Errorf("%s is in %s", secret, d.Basis.Results)
		}
	}
}

// A builtin of which OPA cannot keep the answer makes no complete basis; nor does a large body.
func TestBasisIsIncomplete(t *testing.T) {
	for name, tt := range map[string]struct{ rules, body, want string }{
		"certificates": {
			`allow := show(crypto.x509.parse_and_verify_certificates(input.attributes.request.http.host))`, "",
			"the answers of crypto.x509.parse_and_verify_certificates are not recorded",
		},
		"a large body": {`allow := show(count(input.parsed_body))`, `["` + string(bytes.Repeat([]byte("x"), maxBasisBytes)) + `"]`, "the input is too large to be recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			s := recordingEngine(t, tt.rules, "*")
			req := &authz.Request{HTTP: &authz.HTTP{Host: "a", Body: tt.body, Headers: authz.Headers{"content-type": {"application/json"}}}}
			d, _ := s.decide(t.Context(), time.Unix(1, 0), req, authz.Identity{})
			if d.Basis.Incomplete != tt.want {
				t.Errorf("%q, want %q", d.Basis.Incomplete, tt.want)
			}
		})
	}
}

// Nobody pays for a basis that nobody records.
func TestNoBasis(t *testing.T) {
	s := awkwardEngine(t, "allow := show(input)").current.Load().snapshots[0]
	req, id := newGenerator(t).check()
	if d, _ := s.decide(t.Context(), time.Unix(1, 0), req, id); d.Basis != nil {
		t.Errorf("%+v", d.Basis)
	}
}

// BenchmarkBasis writes down what a policy of roles and routes reads.
func BenchmarkBasis(b *testing.B) {
	s := recordingEngine(b, "allow := show([input.parsed_path, input.attributes.request.http.method, input.tokens.users.status, input.source.principal, input.tokens.users.claims])", "sub", "exp", "scope")
	path, err := authz.ParsePath("/orders/12345/items")
	if err != nil {
		b.Fatal(err)
	}
	req := &authz.Request{Source: authz.Peer{Address: "10.0.0.1", Principal: "spiffe://example.org/ns/web/sa/web"}, HTTP: &authz.HTTP{Method: "GET", Path: path}}
	id := authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenValid, Claims: map[string]any{
		"sub": "ann", "exp": json.Number("1800000000"), "scope": "orders:read orders:write", "email": "ann@example.org",
	}}}}
	in := s.limits.sheet()
	if err := (writer{in, s.limits.asides, s.bodies}).input(&s.reads.input, req, id); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if s.basis(b.Context(), in, time.Time{}, nil) == nil {
			b.Fatal("no basis")
		}
	}
}

// BenchmarkWholeBasis writes down all of a request with 20 headers.
func BenchmarkWholeBasis(b *testing.B) {
	s := recordingEngine(b, "allow := show(input.parsed_path)", "sub", "exp", "scope")
	s.limits.recording.Whole = true
	path, err := authz.ParsePath("/orders/12345/items")
	if err != nil {
		b.Fatal(err)
	}
	req := &authz.Request{Source: authz.Peer{Address: "10.0.0.1", Principal: "spiffe://example.org/ns/web/sa/web"}, HTTP: &authz.HTTP{Method: "GET", Path: path, Headers: authz.Headers{}}}
	for _, name := range "abcdefghijklmnopqrst" {
		req.HTTP.Headers["x-header-"+string(name)] = []string{"a value of a header"}
	}
	id := authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenValid, Claims: map[string]any{
		"sub": "ann", "exp": json.Number("1800000000"), "scope": "orders:read orders:write", "email": "ann@example.org",
	}}}}
	had := &authz.Basis{Input: []byte(`{}`)}
	b.ReportAllocs()
	for b.Loop() {
		if !s.wholeBasis(b.Context(), time.Time{}, req, id, had).Whole {
			b.Fatal("not whole")
		}
	}
}
