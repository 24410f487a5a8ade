package policy_test

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

// rbac is a policy as many write their first.
const rbac = `default allow := false

allow if {
	some role in input.tokens.users.claims.roles
	some grant in data.grants[role]
	grant.method == input.attributes.request.http.method
	grant.path == input.parsed_path[0]
}
`

var benchmarks = []struct {
	name, rules, path string // without rules, the shipped policy
}{
	{"true", "allow := true", "/orders/1"},
	{"rbac", rbac, "/orders/1"},
	{"rbac denied", rbac, "/nowhere"},
	{"shipped public", "", "/healthz"},
	{"shipped scope", "", "/orders/1"},
	{"shipped lacks", "", "/carts/ann"},
	{"shipped nowhere", "", "/nowhere"},
}

// BenchmarkHit decides the same check again and again, from the memo.
func BenchmarkHit(b *testing.B) { decideAll(b, 0) }

// BenchmarkMiss evaluates the policy for every check.
func BenchmarkMiss(b *testing.B) { decideAll(b, -1) }

func decideAll(b *testing.B, memo int) {
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) {
			e := benched(b, bb.rules, memo)
			req, id := get(b, bb.path), clerk()
			req.HTTP.Headers = usualHeaders(bb.path)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Decide(b.Context(), req, id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSpread decides checks that differ in path, of users that came before.
func BenchmarkSpread(b *testing.B) {
	for _, bb := range []string{"rbac", "shipped"} {
		b.Run(bb, func(b *testing.B) {
			rules := ""
			if bb == "rbac" {
				rules = rbac
			}
			e := benched(b, rules, 0)
			id, n := clerk(), 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				req := get(b, fmt.Sprintf("/orders/%d", n))
				if _, err := e.Decide(b.Context(), req, id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func usualHeaders(path string) authz.Headers {
	return authz.Headers{
		":method": {"GET"}, ":path": {path}, ":authority": {"shop.example.com"}, ":scheme": {"https"},
		"authorization": {"Bearer x"}, "user-agent": {"bench"}, "x-request-id": {"1"},
	}
}

// benched has, for the shipped policy, ten routes as an operator may have them.
func benched(b *testing.B, rules string, memo int) *policy.Engine {
	config := policy.Config{Default: policies.FS, MemoBytes: memo, Data: map[string]any{"routes": tenRoutes()}}
	if rules != "" {
		config.Default = fstest.MapFS{"policy.rego": {Data: []byte("package envoy.authz\n\n" + rules)}}
		config.Data = map[string]any{"grants": map[string]any{"clerk": []any{
			map[string]any{"method": "GET", "path": "orders"}, map[string]any{"method": "POST", "path": "orders"},
		}}}
	}
	e, err := policy.New(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func tenRoutes() []any {
	routes := []any{
		map[string]any{"path": "/orders/**", "methods": []string{"GET"}, "tokens": []string{"users"}, "scopes": []string{"orders:read"}},
		map[string]any{"path": "/orders/*/items/**", "methods": []string{"POST"}, "tokens": []string{"users"}, "roles": []string{"clerk"}},
		map[string]any{"path": "/healthz", "public": true},
	}
	for _, name := range []string{"users", "carts", "stock", "mail", "bills", "search", "admin"} {
		routes = append(routes, map[string]any{"path": "/" + name + "/{sub}/**", "tokens": []string{"users"}, "roles": []string{name}})
	}
	return routes
}

// BenchmarkFresh evaluates the policy for each check on a goroutine of its own, as gRPC does: its
// stack is small.
func BenchmarkFresh(b *testing.B) {
	for _, bb := range benchmarks {
		b.Run(bb.name, func(b *testing.B) {
			e := benched(b, bb.rules, -1)
			req, id := get(b, bb.path), clerk()
			req.HTTP.Headers = usualHeaders(bb.path)
			b.ReportAllocs()
			done := make(chan error)
			for b.Loop() {
				go func() {
					_, err := e.Decide(b.Context(), req, id)
					done <- err
				}()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
