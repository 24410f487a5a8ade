package policy_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// planted is what no record may hold, wherever and however it stands.
const planted = "pL4nt3d0s3cr3t"

// secretNames say by themselves that a value is a credential; the shapes do so under any name.
var (
	secretNames = []string{
		"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "apikey", "access_token", "id_token",
		"refresh-token", "x-auth-token", "client_secret", "secret", "password", "Password", "user_passwd", "pwd", "passphrase",
		"x-amz-security-token", "credentials", "client_assertion", "jwt", "x-csrf", "private_key", "sessionid", "sid", "signature", "pin",
	}
	plainNames = []string{"x-forwarded-for", "name", "note", "referer", "redirect_uri"}
	shapes     = map[string]string{
		"a JWT":          "eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"`+planted+`"}`)) + "." + planted,
		"amid a text":    "see eyJhbGciOiJIUzI1NiJ9." + planted + "." + planted + ", please",
		"Bearer":         "Bearer " + planted,
		"bearer":         "bearer  " + planted,
		"Basic":          "Basic " + planted + "==",
		"DPoP":           "DPoP " + planted,
		"Digest":         `Digest username="a", response="` + planted + `"`,
		"a URL's user":   "https://alice:" + planted + "@example.org/",
		"a URL's query":  "https://example.org/?a=b&access_token=" + planted,
		"a form":         "a=b&password=" + planted,
		"JSON":           `{"a": 1, "api_key": "` + planted + `"}`,
		"a private key":  "-----BEGIN PRIVATE KEY-----\n" + planted,
		"a cookie's way": "lang=de; sid=" + planted + "; x=y",
		"AWS":            "AWS4-HMAC-SHA256 Credential=" + planted + "/20261124/eu/s3/aws4_request, Signature=" + planted,
	}
)

// plant makes a request and an identity with a value under a name everywhere.
func plant(t testing.TB, name, value string) (*authz.Request, authz.Identity) {
	t.Helper()
	body, err := json.Marshal(map[string]any{name: value, "in": map[string]any{name: []any{value, map[string]any{name: value}}}})
	if err != nil {
		t.Fatal(err)
	}
	escaped := url.QueryEscape(name) + "=" + url.QueryEscape(value)
	path, err := authz.ParsePath("/a?" + escaped)
	if err != nil {
		t.Fatal(err)
	}
	header := strings.ToLower(name)
	claims := map[string]any{"sub": "ann", name: value, "nested": map[string]any{name: []any{value}}}
	return &authz.Request{
			ContextExtensions: map[string]string{name: value},
			FilterMetadata:    map[string]any{"filter": map[string]any{name: value}},
			Source:            authz.Peer{Address: "10.0.0.1", Labels: map[string]string{name: value}},
			HTTP: &authz.HTTP{
				Method: "POST", Path: path, Body: string(body), RawBody: body, Query: escaped, Fragment: escaped,
				Headers: authz.Headers{header: {value}, "cookie": {name + "=" + planted}, ":path": {path.Raw}, "content-type": {"application/json"}},
				RawHeaders: []authz.RawHeader{
					{Name: header, Value: value}, {Name: header, RawValue: []byte(value)}, {Name: "cookie", RawValue: []byte(name + "=" + planted)},
				},
			},
		}, authz.Identity{Tokens: map[string]authz.Token{"users": {
			Status: authz.TokenValid, Issuer: "i", Claims: claims, Header: map[string]any{"alg": "RS256", name: value},
		}}}
}

// readers read what was planted in every way there is: all of it, parts of it, and each by its name.
func readers(t testing.TB, names []string) []*policy.Engine {
	t.Helper()
	rules := []string{
		`allow := count(json.marshal(input)) > 0`,
		`allow if {
			count(input.attributes.request.http.headers) > 0
			count(input.parsed_query) > 0
			count(input.parsed_body) > 0
			count(input.tokens.users.claims) > 0
			input.attributes.request.http.path != ""
			count(input.attributes.request.http.headerMap.headers) > 0
			count(input.attributes.contextExtensions) > 0
		}`,
	}
	named := "allow if count(seen) > 0\n"
	for _, name := range names {
		name, header := fmt.Sprintf("%q", name), fmt.Sprintf("%q", strings.ToLower(name))
		named += "seen contains input.attributes.request.http.headers[" + header + "]\nseen contains input.parsed_query[" + name + "]\n" +
			"seen contains input.parsed_body[" + name + "]\nseen contains input.tokens.users.claims[" + name + "]\nseen contains input.parsed_body[\"in\"][" + name + "]\n" +
			"seen contains input.tokens.users.claims.nested[" + name + "]\nseen contains input.attributes.contextExtensions[" + name + "]\n"
	}
	var all []*policy.Engine
	for _, r := range append(rules, named) {
		all = append(all, configured(t, r, policy.Config{Recording: &policy.Recording{Claims: []string{"*"}, Body: []string{"*"}}}))
	}
	return append(all, configured(t, named, policy.Config{Recording: &policy.Recording{Claims: []string{"*"}, Body: []string{"*"}, Whole: true}}))
}

// basisOf is what a record would have of a decision.
func basisOf(t testing.TB, e *policy.Engine, req *authz.Request, id authz.Identity) (*authz.Basis, string) {
	t.Helper()
	d, err := e.Decide(t.Context(), req, id)
	if d.Basis == nil {
		t.Fatalf("no basis: %+v, %v", d, err)
	}
	if d.Basis.Input != nil && !json.Valid(d.Basis.Input) {
		t.Errorf("no JSON: %s", d.Basis.Input)
	}
	return d.Basis, string(d.Basis.Input) + string(d.Basis.Results) + strings.Join(d.Basis.Masked, " ") + d.Detail
}

// TestBasisHasNoSecrets plants a secret in every header, cookie, parameter, body field and claim, under
// every name that says so and in every shape that shows it, and reads it in every way.
func TestBasisHasNoSecrets(t *testing.T) {
	engines := readers(t, append(secretNames, plainNames...))
	clean := func(name, value string) {
		req, id := plant(t, name, value)
		for i, e := range engines {
			basis, text := basisOf(t, e, req, id)
			if strings.Contains(text, planted) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(planted))[:18]) {
				t.Errorf("reader %d, %s: %q is in %s", i, name, value, text)
			}
			if basis.Incomplete == "" || len(basis.Masked) == 0 {
				t.Errorf("reader %d, %s: %q: the basis says to be complete: %s", i, name, value, text)
			}
		}
	}
	for _, name := range secretNames {
		clean(name, planted)
	}
	for _, value := range shapes {
		for _, name := range append(plainNames, secretNames[0], "x-key") {
			clean(name, value)
		}
	}
}

// FuzzBasisHasNoSecrets has credentials of any text.
func FuzzBasisHasNoSecrets(f *testing.F) {
	for _, name := range secretNames {
		f.Add(name, "A1"+planted)
	}
	engines := readers(f, secretNames)
	f.Fuzz(func(t *testing.T, around, secret string) {
		secret = strings.ToValidUTF8(secret, "")
		if len(secret) < 8 || strings.Contains(`input [masked] users claims sub ann RS256 POST`, secret) || strings.ContainsAny(secret, " \t\r\n\x00") {
			t.Skip("nothing that could be told from the rest")
		}
		name := strings.ToValidUTF8(around, "") + "-token"
		if _, err := authz.ParsePath("/?" + url.QueryEscape(name) + "=x"); err != nil || strings.Contains(name+url.QueryEscape(name)+url.PathEscape(name), secret) {
			t.Skip("no name")
		}
		needle, _ := json.Marshal(secret)
		req, id := plant(t, name, secret)
		req.HTTP.Headers["cookie"] = []string{"sid=" + secret}
		for _, e := range engines {
			if _, text := basisOf(t, e, req, id); strings.Contains(text, string(needle[1:len(needle)-1])) {
				t.Errorf("%q is in %s", secret, text)
			}
		}
	})
}

// TestBasisKeepsAll shows what is kept of a request beside what the policy reads, and that it is kept of the
// request at hand where the memo has the decision of another.
func TestBasisKeepsAll(t *testing.T) {
	e := configured(t, `allow if input.tokens.users.claims.email`, policy.Config{
		Recording: &policy.Recording{Claims: []string{"sub"}, Body: []string{"amount"}, Whole: true},
	})
	id := authz.Identity{Tokens: map[string]authz.Token{"users": {
		Status: authz.TokenValid, Issuer: "i", Claims: map[string]any{"sub": "ann", "email": "ann@example.org", "tenant": "acme"},
	}}}
	for _, host := range []string{"a", "b", "c", "d"} {
		req := &authz.Request{HTTP: &authz.HTTP{
			Method: "POST", Host: host, Body: `{"amount": 1.50, "iban": "CH93"}`,
			Headers: authz.Headers{"x-tenant": {"acme"}, "authorization": {"Bearer x"}, "content-type": {"application/json"}},
		}}
		basis, text := basisOf(t, e, req, id)
		want := `{"attributes":{"request":{"http":{"method":"POST","headers":{"authorization":"[masked]","content-type":"application/json","x-tenant":"acme"},` +
			`"host":"` + host + `","body":"[masked]"}}},"version":{"ext_authz":"v3","encoding":"protojson"},` +
			`"tokens":{"users":{"status":"valid","issuer":"i","claims":{"email":"ann@example.org","sub":"ann","tenant":"[masked]"},"header":{}}},` +
			`"source":{},"parsed_path":[],"parsed_query":{},"parsed_body":{"amount":1.50,"iban":"[masked]"},"truncated_body":false,"path_ambiguous":false}`
		if diff := cmp.Diff(want, string(basis.Input)); diff != "" {
			t.Errorf("input (-want +got):\n%s", diff)
		}
		if !basis.Whole || basis.Incomplete != "" || !strings.Contains(text, "input/parsed_body/iban") {
			t.Errorf("%+v: what the policy did not read makes nothing incomplete", basis)
		}
	}
	large := &authz.Request{HTTP: &authz.HTTP{Headers: authz.Headers{"x-note": {strings.Repeat("x", 70<<10)}}}}
	if basis, text := basisOf(t, e, large, id); basis.Whole || !strings.HasPrefix(text, `{"tokens":{"users":{"claims":{"email":"ann@example.org"}}}}`) {
		t.Errorf("of a large request: %s", text)
	}
}

// TestBasisKeeps shows what is kept of a request: what the policy reads, and nothing beside it.
func TestBasisKeeps(t *testing.T) {
	path, err := authz.ParsePath("/orders/7?page=2&user=ann")
	if err != nil {
		t.Fatal(err)
	}
	req := &authz.Request{HTTP: &authz.HTTP{
		Method: "POST", Path: path, Body: `{"amount": 1.50, "iban": "CH93", "password": "x"}`,
		Headers: authz.Headers{"x-tenant": {"acme"}, "x-other": {"beta"}, "content-type": {"application/json"}},
	}}
	id := authz.Identity{Tokens: map[string]authz.Token{"users": {
		Status: authz.TokenValid, Issuer: "i", Claims: map[string]any{"sub": "ann", "email": "ann@example.org", "tenant": "acme", "exp": json.Number("1800000000")},
	}}}
	for name, tt := range map[string]struct{ rules, want, wantMasked string }{
		"parts": {
			`allow if { input.attributes.request.http.headers["x-tenant"]; input.parsed_query.page[0]; input.parsed_body.amount > 1 }`,
			`{"attributes":{"request":{"http":{"headers":{"x-tenant":"acme"}}}},"parsed_query":{"page":["2"]},"parsed_body":{"amount":1.50}}`, "",
		},
		"the path, which has the query": {`allow if input.attributes.request.http.path`, `{"attributes":{"request":{"http":{"path":"/orders/7?page=2&user=ann"}}}}`, ""},
		"a claim by its name":           {`allow if input.tokens.users.claims.email`, `{"tokens":{"users":{"claims":{"email":"ann@example.org"}}}}`, ""},
		"all claims": {
			`allow if count(input.tokens.users.claims) > 1`, `{"tokens":{"users":{"claims":{"email":"[masked]","exp":1800000000,"sub":"ann","tenant":"[masked]"}}}}`,
			"input/tokens/users/claims/email input/tokens/users/claims/tenant",
		},
		"a body": {
			`allow if count(input.parsed_body) > 1`, `{"parsed_body":{"amount":1.50,"iban":"[masked]","password":"[masked]"}}`, "input/parsed_body/iban input/parsed_body/password",
		},
		"a field by its name": {`allow if input.parsed_body.iban`, `{"parsed_body":{"iban":"CH93"}}`, ""},
		"a body as text":      {`allow if contains(input.attributes.request.http.body, "iban")`, `{"attributes":{"request":{"http":{"body":"[masked]"}}}}`, "input/attributes/request/http/body"},
		"nothing":             {`allow := true`, `{}`, ""},
		"an error":            {`allow if to_number(input.parsed_query.user[0]) > 1`, `{"parsed_query":{"user":["ann"]}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := configured(t, tt.rules, policy.Config{Recording: &policy.Recording{Claims: []string{"sub", "exp"}, Body: []string{"amount"}}})
			basis, _ := basisOf(t, e, req, id)
			if diff := cmp.Diff(tt.want, string(basis.Input)); diff != "" {
				t.Errorf("input (-want +got):\n%s", diff)
			}
			if got := strings.Join(basis.Masked, " "); got != tt.wantMasked || (basis.Incomplete == "") != (tt.wantMasked == "") {
				t.Errorf("masked %q, incomplete %q; want %q", got, basis.Incomplete, tt.wantMasked)
			}
		})
	}
}
