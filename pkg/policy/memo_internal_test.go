package policy

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

// awkward are policies that speak of the input in every way there is, each showing what it saw.
var awkward = []struct{ name, rules string }{
	{"a computed key", `allow := show(input.attributes.request.http.headers[name]) if some name in ["x-a", "x-b"]` + deny},
	{"a key from the request", `allow := show(input.attributes.request.http.headers[input.parsed_path[0]])` + deny},
	{"a key from data", `allow := show(input[data.key].method)` + deny},
	{"a path in brackets", `allow := show(input["attributes"]["request"].http["method"])` + deny},
	{"a variable over keys", `allow := show({k: v | v := input.attributes.request.http.headers[k]})`},
	{"with input", "allow := x if x := show(seen) with input as {\"parsed_path\": input.parsed_query}\n\nseen := input.parsed_path" + deny},
	{"with a part of input", "allow := x if x := show(seen) with input.attributes.request.http.method as input.source.address\n\nseen := object.get(input.attributes.request, [\"http\", \"method\"], \"-\")" + deny},
	{"with a part that is no object", "allow := x if x := show(seen) with input.parsed_path.x as 1\n\nseen := input.parsed_path" + deny},
	{"with a part below what is absent", "allow := x if x := show(seen) with input.attributes.tlsSession.sni as \"x\"\n\nseen := input.attributes.tlsSession" + deny},
	{"with data", "allow := x if x := show(seen) with data.key as input.attributes.request.http.host\n\nseen := data.key" + deny},
	{"with a builtin", "allow := x if x := show(seen) with lower as named\n\nseen := lower(\"x\")\n\nnamed(_) := input.attributes.request.http.host" + deny},
	{"an array comprehension", `allow := show([x | some x in input.parsed_path; x != input.attributes.request.http.method])`},
	{"a set comprehension", `allow := show({x | x := input.tokens[_].status})`},
	{"an object comprehension", `allow := show({k: count(v) | some k, v in input.parsed_query})` + deny},
	{"walk", `allow := show([p | walk(input.attributes.contextExtensions, [p, v]); v != "a"])` + deny},
	{"walk over all", `allow := show(count([p | walk(input, [p, v]); is_string(v)]))`},
	{"an import", "import input.attributes.request.http as h\n\nallow := show([h.method, h.headers[\"x-a\"]])" + deny},
	{"an import of a list", "import input.parsed_path\n\nallow := show(parsed_path)" + deny},
	{"an alias of input", "allow := show(x) if {\n\ti := input\n\tx := i.attributes.request.http.method\n}" + deny},
	{"an alias of a part", "allow := show(x) if {\n\ti := input.attributes.source\n\tx := [i.address.socketAddress.portValue, i.principal]\n}" + deny},
	{"an alias that is a rule", "r := input.attributes.request\n\nallow := show([r.http.method, r.http.size])" + deny},
	{"an alias of a request", "allow := show([h.method, h.headers[\"x-a\"], h.size]) if h := input.attributes.request.http" + deny},
	{"an alias as a key", "values[s.principal][t] := 1 if {\n\ts := input.attributes.source\n\tt := input.attributes.contextExtensions\n}\n\nallow := show(values)"},
	{"an alias in a comprehension", "allow := show([x | h := input.attributes.request.http; some x in [h.method, h]])"},
	{"an alias with a computed key", "allow := show(h.headers[k]) if {\n\th := input.attributes.request.http\n\tk := input.parsed_path[0]\n}" + deny},
	{"an alias under with", "allow := x if {\n\th := input.attributes.request.http\n\tx := show([h.method, seen]) with input.attributes.request.http.method as h.host\n}\n\nseen := m if {\n\th := input.attributes.request.http\n\tm := h.method\n}" + deny},
	{"an alias under not", "allow := show(\"ok\") if {\n\tt := input.tokens.users\n\tnot t.claims.admin\n}" + deny},
	{"an alias that is compared", "allow := show(\"same\") if {\n\ta := input.tokens.users.claims\n\tb := input.tokens.users.claims\n\ta == b\n\ta.sub\n}" + deny},
	{"an alias that is passed on", "f(x) := x.claims.sub\n\nallow := show([f(t), t.issuer]) if t := input.tokens.users" + deny},
	{"an alias of what is false", "allow := show([a.x, \"x\"]) if a := input.tokens.users.claims.admin" + deny + "\nallow := show(0) if {\n\ta := input.tokens.users.claims.admin\n\tnot a.x\n}"},
	{"an alias and else", "allow := show(1) if {\n\ts := input.attributes.source\n\ts.principal\n} else := show(s.address.pipe) if s := input.attributes.source" + deny},
	{"a rule as an alias", "h := input.attributes.request.http\n\nallow := show([h.method, h.headers[\"x-a\"], h.size])" + deny},
	{"a rule as an alias with conditions", "h := x if {\n\tinput.parsed_path[0] != \"a\"\n\tx := input.attributes.request.http\n}\n\nallow := show([h.method, h.host])" + deny},
	{"a rule as an alias, and all of it", "c := input.tokens.users.claims\n\nallow := show([c.sub, f(c)])\n\nf(x) := x" + deny},
	{"a rule as an alias under with", "h := input.attributes.source\n\nallow := x if x := show([h.principal, seen]) with h as {\"principal\": 1}\n\nseen := h.principal" + deny},
	{"a rule as an alias under with input", "h := input.attributes.source\n\nallow := x if x := show([h.principal, seen]) with input.attributes.source.principal as input.parsed_path\n\nseen := h.principal" + deny},
	{"a rule as an alias in its package", "o.h := input.attributes.source\n\nallow := show([o.h.principal, [x | x := data.envoy.authz.o[_]]])" + deny},
	{"a rule as an alias with a computed key", "h := input.attributes.source\n\nallow := show(h[k]) if some k in [\"principal\", \"pipe\"]" + deny},
	{"a rule as an alias, absent", "h := input.attributes.tlsSession\n\nallow := show(\"none\") if not h.sni" + deny + "\nallow := show(h.sni)"},
	{"two rules that may disagree", "h := input.attributes.source\n\nh := {\"principal\": \"spiffe://a/b\"}\n\nallow := show(h.principal)" + deny},
	{"a rule and what is below it", "values.a := input.attributes.contextExtensions\n\nvalues.b := 1\n\nallow := show([values.a.a, values.b])" + deny},
	{"a rule of another rule", "h := input.attributes.request.http\n\nm := h.headers\n\nallow := show(m[\"x-a\"])" + deny},
	{"an alias of an alias", "allow := show(y) if {\n\tx := input.tokens\n\ty := x.users\n}" + deny},
	{"unification", "allow := show(x) if {\n\tx = input.tokens.users.claims.n\n}" + deny},
	{"unification of an array", "allow := show([x, y]) if [x, y] = input.parsed_path" + deny},
	{"unification of an object", "allow := show(x) if {\"address\": x, \"port\": _} = input.source" + deny},
	{"a partial set", "names contains x if some x in input.parsed_path\n\nnames contains input.tokens.users.claims.sub\n\nallow := show(names)"},
	{"a partial object", "values[k] := v if some k, v in input.attributes.contextExtensions\n\nallow := show(values)"},
	{"a partial rule with a head from input", "values[input.attributes.request.http.method] := input.parsed_path\n\nallow := show(values)"},
	{"a part of a partial rule", "values[k] := v if some k, v in input.parsed_query\n\nallow := show(values[input.attributes.request.http.headers[\"x-a\"]])" + deny},
	{"a function of input", "f(x) := x.request.http.method\n\nallow := show(f(input.attributes))" + deny},
	{"a function of all input", "f(x) := x.attributes.request.http.method\n\nallow := show(f(input))" + deny},
	{"a function that reads input", "f(x) := input.attributes.request.http.headers[x]\n\nallow := show(f(\"x-b\"))" + deny},
	{"a function by its value", "f(\"GET\") := 1\n\nf(\"POST\") := 2\n\nallow := show(f(input.attributes.request.http.method))" + deny},
	{"every", "allow := show(\"all\") if every x in input.parsed_path { x != input.attributes.request.http.headers[\"x-a\"] }" + deny},
	{"some in tokens", "allow := show([n, t.claims.sub]) if {\n\tsome n, t in input.tokens\n\tt.status == \"valid\"\n}" + deny},
	{"object.get", `allow := show(object.get(input, ["attributes", "request", "http", "headers", "x-a"], "none"))`},
	{"object.get of a part", `allow := show(object.get(input.tokens, ["users", "claims", "n"], "none"))`},
	{"json.filter", `allow := show(json.filter(input, ["attributes/request/http/method", "tokens/users/claims"]))`},
	{"json.remove", `allow := show(json.remove(input.attributes, ["request/http/headers", "request/time"]))`},
	{"glob", `allow := show("ok") if glob.match("/a/*", ["/"], input.attributes.request.http.path)` + deny},
	{"negation", `allow := show("no tls") if not input.attributes.tlsSession` + deny},
	{"negation of a member", `allow := show("no sni") if not input.attributes.tlsSession.sni` + deny},
	{"negation of a claim", `allow := show("not admin") if not input.tokens.users.claims.admin` + deny},
	{"a condition on an object", "allow := show(input.attributes.request.http.method) if input.attributes.request.http" + deny},
	{"a condition on a claim", `allow := show("true") if input.tokens.users.claims.admin` + deny},
	{"a condition on a list", `allow := show("roles") if input.tokens.users.claims.roles` + deny},
	{"conditions on what is empty", "allow := show([x | some x in [h, l, c]])\n\ndefault h := 0\n\nh := 1 if input.attributes.request.http.headers\n\ndefault l := 0\n\nl := 1 if input.attributes.source.labels\n\ndefault c := 0\n\nc := 1 if input.attributes.contextExtensions"},
	{"numbers", `allow := show([input.tokens.users.claims.n, input.tokens.users.claims.n == 1, {1: "one"}[input.tokens.users.claims.n]])` + deny},
	{"absent, null or empty", "allow := show(x) if {\n\tx := object.get(input.tokens.users.claims, \"sub\", \"absent\")\n}" + deny},
	{"all claims", `allow := show(input.tokens.users.claims)` + deny},
	{"all tokens", `allow := show(input.tokens)`},
	{"a header of a token", `allow := show([input.tokens.users.header.alg, input.tokens.workload])` + deny},
	{"a body", `allow := show([input.parsed_body, input.truncated_body])` + deny},
	{"a member of a body", `allow := show("few") if input.parsed_body.n < 5` + deny},
	{"metadata", `allow := show(input.attributes.metadataContext.filterMetadata.f.n)` + deny},
	{"all of a request", `allow := show(input.attributes.request)` + deny},
	{"all", `allow := show(input)`},
	{"a member of what is no object", `allow := show(input.attributes.request.http.method.x)` + deny},
	{"an else", "allow := show(1) if input.attributes.request.http.method == \"GET\" else := show(2) if input.source.port else := show(3)"},
	{"a conflict", "allow := x\n\nx := show(input.attributes.request.http.method)\n\nx := show(input.attributes.request.http.host)" + deny},
	{"an error", `allow := show(to_number(input.attributes.request.http.headers["x-a"]) > 0)` + deny},
	{"an error under not", `allow := show("x") if not startswith(input.tokens.users.claims.n, "1")` + deny},
	{"another package", "allow := show(data.other.seen)" + deny},
	{"a package by a variable", "allow := show([v | v := data[x].seen; x != \"envoy\"])" + deny},
	{"headers out", `allow := {"allowed": true, "headers": {"x-user": input.tokens.users.claims.sub, "x-p": input.attributes.request.http.host}}` + deny},
	{"a denial", `allow := {"allowed": false, "http_status": 429, "body": input.source.address, "scopes": [input.attributes.request.http.method], "max_age": input.source.port, "headers": {"set-cookie": input.parsed_path}}` + deny},
	{"metadata out", `allow := {"allowed": true, "dynamic_metadata": {"t": input.tokens.users, "q": input.parsed_query}}` + deny},
	{"a template", "allow := show($\"{input.attributes.request.http.method} {input.parsed_path[0]}\")" + deny},
	{"or", `allow := show("x") if input.attributes.request.http.method in {"GET", input.attributes.request.http.headers["x-a"]}` + deny},
}

const (
	deny  = "\n\ndefault allow := false\n"
	shown = "\n\nshow(x) := {\"allowed\": true, \"reason\": json.marshal(x)}\n"
	other = "package other\n\nseen := [input.attributes.request.http.host, input.path_ambiguous]\n"
)

func awkwardEngine(t testing.TB, rules string) *Engine {
	t.Helper()
	e, err := New(t.Context(), Config{
		Default: fstest.MapFS{
			"policy.rego": {Data: []byte("package envoy.authz\n\n" + rules + shown)},
			"other.rego":  {Data: []byte(other)},
		},
		Data: map[string]any{"key": "source"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestMemoDoesNotLie has every awkward policy decide requests of which many are alike and differ in
// one thing: from the memo, without it, and on the whole document.
func TestMemoDoesNotLie(t *testing.T) {
	const checks = 100_000
	now := time.Unix(1795435200, 0)
	memoised, hits := 0, uint64(0)
	for _, tt := range awkward {
		e := awkwardEngine(t, tt.rules)
		s := e.current.Load().snapshots[0]
		if s.memo != nil {
			memoised++
		}
		unmemoised, whole := *s, *s
		unmemoised.memo, whole.memo = nil, nil
		whole.reads = everything()
		g := newGenerator(t)
		for i := range checks / len(awkward) {
			req, id := g.check()
			got, gotErr := s.decide(t.Context(), now, req, id)
			want, wantErr := unmemoised.decide(t.Context(), now, req, id)
			same(t, tt.name+": with and without the memo", want, got, wantErr, gotErr)
			if i%8 == 0 {
				want, wantErr = whole.decide(t.Context(), now, req, id)
				same(t, tt.name+": with the whole document, and with what is read", want, got, wantErr, gotErr)
			}
			if t.Failed() {
				t.FailNow()
			}
		}
		stats := e.Stats()
		hits += stats.Hits
		if stats.Differences > 0 {
			t.Errorf("%s: %d differences", tt.name, stats.Differences)
		}
	}
	t.Logf("%d policies, %d of them with a memo, which answered %d checks", len(awkward), memoised, hits)
	if memoised < len(awkward)/2 || hits < checks/4 {
		t.Errorf("%d memos answered %d checks: too few to say anything", memoised, hits)
	}
}

func same(t *testing.T, what string, want, got authz.Decision, wantErr, gotErr error) {
	t.Helper()
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	if diff := cmp.Diff(text(wantErr), text(gotErr)); diff != "" {
		t.Errorf("%s: the error (-want +got):\n%s", what, diff)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A generator makes checks of few values each, so that they repeat and nearly repeat.
type generator struct {
	*rand.Rand
	t      testing.TB
	claims []map[string]any
}

func newGenerator(t testing.TB) *generator {
	t.Helper()
	g := &generator{t: t, Rand: rand.New(rand.NewPCG(1, 2))}
	for _, text := range []string{
		`{}`, `{"sub": ""}`, `{"sub": null}`, `{"sub": "ann"}`, `{"sub": "änn"}`, `{"n": 1}`, `{"n": 1.0}`, `{"n": "1"}`, `{"n": [1]}`, `{"n": 10}`,
		`{"admin": true}`, `{"admin": false}`, `{"admin": null}`, `{"admin": {}}`, `{"roles": []}`, `{"roles": ["a"]}`, `{"roles": {"a": 1}, "sub": "ann"}`,
		`{"sub": "ann", "n": 1, "admin": true}`, `{"n": true}`, `{"n": 1e0}`, `{"sub": {"sub": "ann"}}`, `{"sub": ["ann"]}`,
	} {
		g.claims = append(g.claims, parsed(t, text))
	}
	return g
}

func parsed(t testing.TB, text string) map[string]any {
	t.Helper()
	var claims map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func one[T any](g *generator, of ...T) T { return of[g.IntN(len(of))] }

func (g *generator) check() (*authz.Request, authz.Identity) {
	req := &authz.Request{
		Source: one(g, authz.Peer{}, authz.Peer{Address: "10.0.0.1", Port: 0}, authz.Peer{Address: "10.0.0.1", Port: 10},
			authz.Peer{Pipe: "/p"}, authz.Peer{Principal: "spiffe://a/b", Labels: map[string]string{"a": "b"}}),
		ContextExtensions: one(g, nil, map[string]string{}, map[string]string{"a": ""}, map[string]string{"a": "a", "b": "b"}),
		FilterMetadata:    one[map[string]any](g, nil, map[string]any{"f": map[string]any{"n": 1.0}}, map[string]any{"f": map[string]any{"n": "1"}}, map[string]any{"f": nil}),
		TLSSession:        one(g, nil, &authz.TLSSession{}, &authz.TLSSession{SNI: "a"}),
		Time:              one(g, time.Time{}, time.Unix(0, 0), time.Unix(1, 0), time.Unix(1, 5)),
	}
	if g.IntN(20) > 0 {
		req.HTTP = g.http()
	}
	id := authz.Identity{Tokens: map[string]authz.Token{"workload": {Status: authz.TokenMissing}}}
	switch g.IntN(8) {
	case 0:
	case 1:
		id.Tokens["users"] = authz.Token{Status: authz.TokenMissing}
	default:
		claims := g.claims[g.IntN(len(g.claims))]
		if g.IntN(4) == 0 { // another token that says the same
			claims = one(g, claims, parsed(g.t, `{"sub": "ann"}`))
		}
		id.Tokens["users"] = authz.Token{Status: authz.TokenValid, Issuer: one(g, "i", "j"), Claims: claims, Header: one(g, nil, map[string]any{"alg": "RS256"})}
	}
	return req, id
}

func (g *generator) http() *authz.HTTP {
	path, err := authz.ParsePath(one(g, "/", "/a", "/a/b", "/x-a", "/a%20b", "/ä", "/%C3%A4", "//a", "/a?q=1", "/a?q=1&q=2", "/a?q=", "/a?r=%00"))
	if err != nil {
		g.t.Fatal(err)
	}
	h := &authz.HTTP{
		ID: one(g, "", "1", "2"), Method: one(g, "", "GET", "GET", "POST"), Host: one(g, "", "a", "b", "a\x00b"), Path: path, Size: one[int64](g, 0, -1, 10),
		Headers: authz.Headers{},
	}
	for _, name := range []string{"x-a", "x-b", "content-type"} {
		if values := one(g, nil, []string{""}, []string{"1"}, []string{"1.0"}, []string{"a", "b"}, []string{"a,b"}, []string{"x-b"}); values != nil {
			h.Headers[name] = values
		}
	}
	if g.IntN(6) == 0 {
		h.Headers["content-type"] = []string{"application/json"}
		h.Body = one(g, `{"n": 1}`, `{"n": "1"}`, `{"n": 10}`, `{`, `null`, `[]`)
	}
	return h
}
