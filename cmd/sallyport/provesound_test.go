package main

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/prove"
	"github.com/sallyport/sallyport/policies"
)

// What is proved of random policies holds for thousands of random requests. PROVE_ROUNDS asks for more
// policies than a test run has time for, PROVE_SEED for others.
func TestProofsAreSound(t *testing.T) {
	rounds, seed := 20, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("PROVE_ROUNDS")); err == nil {
		rounds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("PROVE_SEED"), 10, 64); err == nil {
		seed = n
	}
	verdicts := map[prove.Verdict]int{}
	for i := range rounds {
		g := &generator{rand.New(rand.NewPCG(seed, uint64(i)))}
		module, condition := g.policy(), g.body(1+g.IntN(3), "")
		p := &prover{
			config:  policy.Config{Modules: map[string]string{"random.rego": module}, Library: policies.Library, Default: nil, Data: randomData()},
			runner:  casefile.Runner{Slots: []string{"users"}},
			timeout: 2 * time.Second,
		}
		proof, err := p.prove(t.Context(), claim{Never: condition, file: "--never", line: 1})
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, module, condition)
		}
		verdicts[proof.Verdict]++
		if os.Getenv("PROVE_SHOW") == string(proof.Verdict) {
			t.Logf("%s\nnever\n%s\n%v %v", module, condition, proof.Obstacles, proof.Cases)
		}
		if proof.Verdict == prove.Proved {
			refute(t, p, g, condition, module)
		}
	}
	t.Log(verdicts)
	if least := rounds / 10; verdicts[prove.Proved] < least || verdicts[prove.Counterexample] < least {
		t.Errorf("%v: the random policies say little", verdicts)
	}
}

// refute asks about random requests whether one is allowed for which the condition holds.
func refute(t *testing.T, p *prover, g *generator, condition, module string) {
	t.Helper()
	asking, _, err := p.compile(t.Context(), claim{Never: condition, file: "--never", line: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := &confirmer{prover: p, asking: asking, slots: []string{"users"}}
	if err := c.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.close()
	for range 3000 {
		req, id := g.request()
		if d, err := c.asked.engine.Decide(t.Context(), req, id); err != nil || !d.Allowed {
			continue
		}
		if d, err := c.condition.Decide(t.Context(), req, id); err == nil && d.Allowed {
			t.Fatalf("proved, and yet allowed: %s %s %v %v\n%s\nnever\n%s", req.HTTP.Method, req.HTTP.Path.Raw, req.HTTP.Headers, id.Tokens, module, condition)
		}
	}
}

func randomData() map[string]any {
	return map[string]any{
		"grants": map[string]any{"ann": []any{"a", "admin"}, "bob": []any{"b"}},
		"limits": map[string]any{"a": 3, "b": 5},
		"table":  []any{map[string]any{"path": "a", "role": "admin"}, map[string]any{"path": "b", "role": "guest"}},
	}
}

// A generator makes policies, conditions and requests, all of a few words so that they meet.
type generator struct{ *rand.Rand }

func (g *generator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g *generator) word() string {
	return g.one("a", "b", "admin", "Admin", "administrator", "a-b", "")
}

func (g *generator) place() string {
	return g.one("input.parsed_path[0]", "input.parsed_path[1]", "input.attributes.request.http.method", "input.tokens.users.claims.sub",
		"input.tokens.users.claims.tenant", `input.attributes.request.http.headers["x-a"]`, "input.attributes.request.http.path",
		"input.parsed_query.q[0]", "input.source.principal")
}

// policy is a policy with a few rules that use each other.
func (g *generator) policy() string {
	var b strings.Builder
	b.WriteString("package envoy.authz\n")
	if g.IntN(5) > 0 {
		b.WriteString("default allow := false\n")
	}
	for i := range 2 + g.IntN(2) {
		head := g.one("allow if", "allow if", `allow := {"allowed": true, "headers": {"x-u": "1"}} if`)
		if i > 0 {
			head = "allow if"
		}
		fmt.Fprintf(&b, "%s {\n%s\n}\n", head, g.body(1+g.IntN(3), "h"))
		if i == 0 && strings.HasPrefix(head, "allow :=") {
			break
		}
	}
	for _, name := range []string{"h1", "h2"} {
		fmt.Fprintf(&b, "%s if {\n%s\n}\n", name, g.body(1+g.IntN(2), ""))
		if g.IntN(3) == 0 {
			fmt.Fprintf(&b, "%s if {\n%s\n}\n", name, g.body(1, ""))
		}
	}
	fmt.Fprintf(&b, "level := 3 if {\n%s\n} else := 2 if {\n%s\n}\ndefault level := 1\n", g.body(1, ""), g.body(1, ""))
	fmt.Fprintf(&b, "deny contains \"d1\" if {\n%s\n}\ndeny contains %s if input.tokens.users\n", g.body(2, ""), g.place())
	fmt.Fprintf(&b, "named[k] := v if {\n some k, v in {\"a\": %s, \"b\": \"admin\"}\n%s\n}\n", g.place(), g.body(1, ""))
	fmt.Fprintf(&b, "good(x) if {\nx == %q\n%s\n}\ngood(x) if startswith(x, %q)\n", g.word(), g.body(1, ""), g.one("a", "ad"))
	b.WriteString("kind(x) := \"text\" if is_string(x)\nkind(x) := \"list\" if is_array(x)\n")
	b.WriteString("roles contains r if some r in input.tokens.users.claims.roles\nroles contains \"any\" if input.tokens.users.status == \"valid\"\n")
	return b.String()
}

// body is some expressions; with "h" they use the rules too.
func (g *generator) body(n int, rules string) string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = "\t" + g.expr(rules, fmt.Sprintf("v%d", i))
	}
	return strings.Join(lines, "\n")
}

func (g *generator) expr(rules, v string) string {
	if rules != "" && g.IntN(2) == 0 {
		return g.one("h1", "h2", "not h1", "not h2", "level > 1", "level == 2", "count(deny) == 0", `not "d1" in deny`, `"admin" in deny`,
			"good("+g.place()+")", "not good("+g.place()+")", `named.a == "admin"`, "named["+g.place()+"] == \"admin\"", "kind(input.tokens.users.claims.roles) == \"list\"",
			`"admin" in roles`, "count(roles) > 1", `count(roles & {"admin", "ops"}) > 0`, "some r in roles; r == \"admin\"", "count(named) == 2")
	}
	roles := "input.tokens.users.claims.roles"
	e := g.one(
		fmt.Sprintf("%s == %q", g.place(), g.word()),
		fmt.Sprintf("%s == %q", g.place(), g.word()),
		fmt.Sprintf("%s != %q", g.place(), g.word()),
		fmt.Sprintf("%s == %s", g.place(), g.place()),
		fmt.Sprintf("%s != %s", g.place(), g.place()),
		fmt.Sprintf("%s in {%q, %q}", g.place(), g.word(), g.word()),
		fmt.Sprintf("startswith(%s, %q)", g.place(), g.one("a", "ad", "/admin", "/a")),
		fmt.Sprintf("endswith(%s, %q)", g.place(), g.one("n", "b")),
		fmt.Sprintf("contains(%s, %q)", g.place(), g.one("m", "-")),
		fmt.Sprintf("lower(%s) == %q", g.place(), g.one("admin", "a")),
		fmt.Sprintf("regex.match(%q, %s)", g.one("^a", "^[a-b]$", "n$"), g.place()),
		fmt.Sprintf("split(%s, \"-\")[0] == %q", g.place(), g.one("a", "b")),
		fmt.Sprintf("count(input.parsed_path) %s %d", g.one("==", ">", "<", ">="), 1+g.IntN(3)),
		fmt.Sprintf("input.parsed_path == [%q, %q]", g.word(), g.word()),
		fmt.Sprintf("array.slice(input.parsed_path, 0, 2) == [%q, %q]", g.word(), g.word()),
		fmt.Sprintf("input.tokens.users.status == %q", g.one("valid", "missing")),
		"input.tokens.users.status == \"valid\"",
		fmt.Sprintf("input.tokens.users.claims.level %s %d", g.one(">", "<", ">=", "<=", "==", "!="), g.IntN(4)),
		fmt.Sprintf("%q in %s", g.one("admin", "ops"), roles),
		fmt.Sprintf("%s[_] == %q", roles, g.one("admin", "ops")),
		fmt.Sprintf("some %s in %s; startswith(%s, \"a\")", v, roles, v),
		fmt.Sprintf("some %s in %s; %s == %s", v, roles, v, g.place()),
		fmt.Sprintf("some %s, _ in input.parsed_path; input.parsed_path[%s] == %q", v, v, g.word()),
		fmt.Sprintf("every %s in %s { %s != %q }", v, roles, v, g.one("admin", "guest")),
		fmt.Sprintf("count({r | some r in %s; r in {\"admin\", \"ops\"}}) > 0", roles),
		fmt.Sprintf("count({r | some r in %s} & {\"admin\", \"ops\"}) == %d", roles, g.IntN(2)),
		fmt.Sprintf("count([r | some r in %s; r != \"guest\"]) %s 1", roles, g.one(">", "==", "<")),
		fmt.Sprintf("count(%s) %s %d", roles, g.one(">", "==", "<"), g.IntN(3)),
		fmt.Sprintf("object.get(input.tokens.users.claims, \"tenant\", \"a\") == %q", g.word()),
		fmt.Sprintf("%s in data.grants[%s]", g.place(), g.place()),
		fmt.Sprintf("data.limits[%s] > %d", g.place(), 2+g.IntN(3)),
		fmt.Sprintf("some %s in data.table; %s.path == %s; %s.role in %s", v, v, g.place(), v, roles),
		fmt.Sprintf("is_%s(input.tokens.users.claims.tenant)", g.one("string", "number", "array", "null")),
		fmt.Sprintf("to_number(%s) > 1", g.place()),
		fmt.Sprintf("concat(\"/\", [%s, \"x\"]) == \"a/x\"", g.place()),
		fmt.Sprintf("input.tokens[%q].status == \"missing\"", g.one("users", "other")),
		fmt.Sprintf("some %s, %st in input.tokens; %st.status == \"valid\"; %s != \"x\"", v, v, v, v),
		"count(input.tokens) == 1",
		fmt.Sprintf("input.parsed_path[count(input.parsed_path) - 1] == %q", g.word()),
		g.place(),
	)
	if !strings.Contains(e, ";") && !strings.Contains(e, "[_]") && !strings.HasPrefix(e, "every") && g.IntN(4) == 0 {
		return "not " + e
	}
	return e
}

// request is a request that Envoy could send, with its identity.
func (g *generator) request() (*authz.Request, authz.Identity) {
	segments := make([]string, 1+g.IntN(3))
	for i := range segments {
		segments[i] = g.word()
	}
	raw := "/" + strings.Join(segments, "/")
	if g.IntN(4) == 0 {
		raw += "?" + url.Values{"q": {g.word()}}.Encode()
	}
	path, err := authz.ParsePath(raw)
	if err != nil || path.Ambiguity != "" {
		return g.request()
	}
	method := g.one("GET", "POST", "a", "admin")
	req := &authz.Request{HTTP: &authz.HTTP{Method: method, Host: "a", Scheme: "http", Path: path, Headers: authz.Headers{":method": {method}, ":path": {raw}}}}
	if g.IntN(2) == 0 {
		req.HTTP.Headers["x-a"] = []string{g.one(g.word(), "2")}
	}
	if g.IntN(2) == 0 {
		req.Source.Principal = g.one("a", "admin", "b")
	}
	id := authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenMissing}}}
	if g.IntN(4) > 0 {
		id.Tokens["users"] = authz.Token{Status: authz.TokenValid, Issuer: "i", Claims: g.claims(), Header: map[string]any{"alg": "ES256"}}
	}
	return req, id
}

func (g *generator) claims() map[string]any {
	out := map[string]any{}
	if s := g.one("ann", "bob", "a", "admin", ""); s != "" {
		out["sub"] = s
	}
	switch g.IntN(4) {
	case 0:
		out["roles"] = g.one("admin", "ops", "a")
	case 1, 2:
		list := []any{}
		for range g.IntN(4) {
			list = append(list, g.one("admin", "ops", "guest", "a"))
		}
		out["roles"] = list
	}
	if tenant := []any{nil, 3, "a", "admin", []any{"a"}, ""}[g.IntN(6)]; g.IntN(3) > 0 {
		out["tenant"] = tenant
	}
	if g.IntN(2) == 0 {
		out["level"] = []any{0, 1, 2, 3, 4, "x"}[g.IntN(6)]
	}
	return out
}
