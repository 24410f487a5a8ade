package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// TestEnvoyIncidents asks through a real Envoy, with our bootstrap, what was a way in elsewhere. Each is
// named after the incident; deploy/security.md lists all of them.
func TestEnvoyIncidents(t *testing.T) {
	m := startMesh(t, setup{config: "routes.yaml"})
	clerk := m.token(t, map[string]any{"roles": []string{"clerk"}})
	segments := strings.Split(clerk, ".")
	json := `{"payload":"` + segments[1] + `","signatures":[{"protected":"` + segments[0] + `","signature":"` + segments[2] + `"}]}`
	expired := strings.Split(m.token(t, map[string]any{"iat": 1, "exp": 2}), ".")
	const malformed, invalid, multiple = "the request is malformed", "the token is invalid", "the request carries more than one credential"
	with := func(name string, values ...string) http.Header { return http.Header{name: values} }
	for _, e := range []exchange{
		{name: "CVE-2020-25017 all copies of a header are overwritten", path: "/orders/7", header: headers(bearer(clerk), with("X-User", "root", "admin")), wantStatus: 200, wantUpstream: with("X-User", "alice")},
		{name: "CVE-2020-8595 an exact path with a query", path: "/mesh?a=b", wantStatus: 401},
		{name: "CVE-2021-21378 an issuer that nobody knows is no missing token", path: "/public/page", header: bearer(m.token(t, map[string]any{"iss": "https://elsewhere.example.com"})), wantStatus: 401, wantBody: invalid},
		{name: "CVE-2021-29492 an encoded slash", path: "/public%2f..%2forders/7", wantStatus: 400, wantBody: malformed},
		{name: "CVE-2021-29492 an encoded backslash", path: "/public/..%5corders/7", wantStatus: 400, wantBody: malformed},
		{name: "CVE-2021-31920 slashes that are joined", path: "/public/..//orders/7", wantStatus: 401},
		{name: "CVE-2021-32777 two values of one header, the last is good", path: "/orders/7", header: with("Authorization", "Bearer a.b.c", "Bearer "+clerk), wantStatus: 400, wantBody: multiple},
		{name: "CVE-2021-39155 the case of the host", path: "/orders/7", header: with("X-Forwarded-Host", "PUBLIC.example.com"), wantStatus: 401},
		{name: "CVE-2022-29226 no cookie is no login", path: "/orders/7", header: with("Cookie", "session="), wantStatus: 401, wantBody: invalid},
		{name: "CVE-2023-27487 the original path of a header", path: "/orders/7", header: with("X-Envoy-Original-Path", "/public/page"), wantStatus: 401},
		{name: "CVE-2023-27488 a header that is not UTF-8", path: "/orders/7", header: with("X-Any", "caf\xe9"), wantStatus: 400, wantBody: malformed},
		{name: "CVE-2024-45806 a header that says the client is internal", path: "/orders/7", header: with("X-Envoy-Internal", "true"), wantStatus: 401},
		{name: "CVE-2024-51744 expired, and of a bad signature", path: "/orders/7", header: bearer(expired[0] + "." + expired[1] + "." + segments[2]), wantStatus: 401, wantBody: invalid},
		{name: "CVE-2026-26205 two slashes before a path", path: "/.//orders/7", wantStatus: 401},
		{name: "CVE-2026-26308 values joined in one header", path: "/orders/7", header: with("Authorization", "Bearer a.b.c,Bearer "+clerk), wantStatus: 400, wantBody: multiple},
		{name: "CVE-2026-31838 a header twice, the first is good", path: "/orders/7", header: with("Authorization", "Bearer "+clerk, "Bearer a.b.c"), wantStatus: 400, wantBody: multiple},
		{name: "CVE-2026-32811 a question mark", path: "/orders/7?x=/public/", wantStatus: 401},
		{name: "CVE-2026-39858 a header that CGI reads as another", path: "/orders/7", header: headers(bearer(clerk), http.Header{"X_User": {"root"}}), wantStatus: 200, wantUpstream: http.Header{"X-User": {"alice"}, "X_user": nil}},
		{name: "CVE-2026-49231 an identity of the client's own", path: "/public/page", header: with("X-User", "root"), wantStatus: 200, wantUpstream: http.Header{"X-User": nil}},
		{name: "CVE-2022-39227 a token as JSON", path: "/orders/7", header: bearer(json), wantStatus: 400, wantBody: multiple},
		{name: "pitfall 2 claims that the client says were verified", path: "/orders/7", header: http.Header{"X-Jwt-Payload": {segments[1]}, "X-Jwt-Signature-Verified": {"true"}}, wantStatus: 401},
		{name: "pitfall 7 a method that is new", method: "QUERY", path: "/payments", header: headers(bearer(clerk), with("Content-Type", "application/json")), wantStatus: 403},
		{name: "pitfall 7 another method in a header", path: "/payments", header: headers(bearer(clerk), with("X-Http-Method-Override", "POST")), wantStatus: 403},
	} {
		t.Run(e.name, func(t *testing.T) { e.run(t, m, http1()) })
	}
	// Envoy resolves these since 1.40, and what it leaves is refused; nobody gets to the orders.
	for name, path := range map[string]string{
		"CVE-2026-73551 dots with a parameter":   "/public/..;/orders/7",
		"CVE-2026-73511 dots with a parameter x": "/public/..;x=1/orders/7",
		"CVE-2026-73553 a parameter of a path":   "/orders;public/7",
		"CVE-2021-39156 a fragment":              "/orders/7#/public/page",
		"CVE-2021-32779 a fragment of another":   "/public/page#/../../orders/7",
	} {
		t.Run(name, func(t *testing.T) {
			if got := (exchange{path: path}).send(t, http1(), m.url); got.status < 400 || got.status > 404 {
				t.Errorf("status %d", got.status)
			}
		})
	}
}

// TestIncidentsWithoutKeys has an issuer that is down from the start.
func TestIncidentsWithoutKeys(t *testing.T) {
	a := startAttacked(t) // for its recorded checks, with tokens that are good there
	down := listen(t)
	down.Close()
	cfg, err := config.Parse("down.yaml", []byte(`
listen: {grpc: "127.0.0.1:0", admin: ""}
jwt: {rules: [{issuer: "`+a.issuer+`", audiences: [orders], jwksUri: "http://`+down.Addr().(*net.TCPAddr).String()+`/jwks"}]}
policy: {data: {routes: [{path: /public/**, public: true}]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	_, conn := running(t, cfg)
	for name, tc := range map[string]struct {
		check string
		want  int32
	}{
		"CVE-2026-31837 no keys, no token is good":              {"get", 503},
		"CVE-2025-64527 two tokens, and the keys are not there": {"twice", 400},
	} {
		t.Run(name, func(t *testing.T) {
			var answer auth.CheckResponse
			if err := a.send(t.Context(), conn, a.checks[tc.check], &answer); err != nil {
				t.Fatal(err)
			}
			if got := int32(answer.GetDeniedResponse().GetStatus().GetCode()); answer.GetStatus().GetCode() == 0 || got != tc.want {
				t.Errorf("answered %v, want %d", &answer, tc.want)
			}
		})
	}
}

// incidents are those that the page must have: of verifiers of tokens, and of Envoy and those who ask
// for it.
const incidents = `CVE-2026-31837 CVE-2026-39999 CVE-2026-33322 CVE-2023-27488 CVE-2024-23324 CVE-2023-27487 CVE-2026-39858 CVE-2025-64527
CVE-2026-31838 CVE-2026-26308 CVE-2022-29226 CVE-2025-30204 CVE-2025-27144 CVE-2025-61920 CVE-2024-51744 CVE-2024-21664 CVE-2023-49290
GHSA-4cf7-xm37-g63h CVE-2022-39227 CVE-2026-35042 CVE-2022-21449 CVE-2021-39156 CVE-2021-39155 CVE-2021-31920 CVE-2026-73511
CVE-2020-25017 CVE-2021-21378 CVE-2021-29492 CVE-2021-32777 CVE-2021-32779 CVE-2024-45806 CVE-2024-45810 CVE-2024-45809 CVE-2026-47205
CVE-2026-50572 CVE-2026-73547 CVE-2026-73551 CVE-2026-73553 CVE-2026-26205 CVE-2026-32811 CVE-2026-49231 CVE-2020-8595`

// TestSecurityPage holds deploy/security.md to the tests that it names: they are there, and every
// incident is in its table, with a test or with a reason to have none.
func TestSecurityPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deployed, "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	named := regexp.MustCompile("`(pkg/[a-z/]+|cmd/sallyport(?:/config)?) (Test|Fuzz)([A-Za-z0-9_]+)(?:/([^`]+))?`").FindAllStringSubmatch(page, -1)
	if len(named) < 40 {
		t.Errorf("the page names only %d tests", len(named))
	}
	for _, n := range named {
		if err := declared(filepath.Join("../..", n[1]), n[2]+n[3], n[4]); err != "" {
			t.Errorf("%s: %s", n[0], err)
		}
	}
	rows := map[string]string{}
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			rows[strings.TrimSpace(cells[1])] += strings.TrimSpace(cells[3])
		}
	}
	for _, incident := range append(strings.Fields(incidents), "pitfall 1", "pitfall 2", "pitfall 3", "pitfall 4", "pitfall 5",
		"pitfall 6", "pitfall 7", "pitfall 8", "pitfall 9", "pitfall 10") {
		found := false
		for row, proof := range rows {
			if regexp.MustCompile(`\b` + incident + `\b`).MatchString(row) {
				found = strings.Contains(proof, "Test") || strings.HasPrefix(proof, "not ours: ")
			}
		}
		if !found {
			t.Errorf("the page has no test of %s, and no reason for that", incident)
		}
	}
}

// declared says what is missing: the test in a directory, and its subtest, which is a text of the
// directory's tests or one of their files.
func declared(dir, test, subtest string) string {
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		return "there are no tests"
	}
	var there, named bool
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err.Error()
		}
		named = named || strings.Contains(string(text), `"`+subtest)
		parsed, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			return err.Error()
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			there = there || ok && f.Name.Name == test && len(f.Body.List) > 0
		}
	}
	_ = filepath.WalkDir(filepath.Join(dir, "testdata"), func(name string, _ fs.DirEntry, err error) error {
		named = named || err == nil && strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)) == subtest
		return nil
	})
	switch {
	case !there:
		return "there is no such test"
	case subtest != "" && !named:
		return "there is no such subtest"
	}
	return ""
}
