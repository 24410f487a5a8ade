package mask_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/pkg/authz/mask"
)

const (
	jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	hex = "4f3c2a1b9d8e7f60"
)

func TestJudge(t *testing.T) {
	for name, want := range map[string]mask.Judgement{
		"authorization": mask.Secret, "Proxy-Authorization": mask.Secret, "cookie": mask.Secret, "Set-Cookie": mask.Secret,
		"x-api-key": mask.Secret, "apiKey": mask.Secret, "api.key": mask.Secret, "access_token": mask.Secret,
		"x-amz-security-token": mask.Secret, "client_secret": mask.Secret, "newPassword": mask.Secret, "PASSWD": mask.Secret,
		"X-Amz-Signature": mask.Secret, "JSESSIONID": mask.Secret, "sid": mask.Secret, "pin": mask.Secret, "x-csrf": mask.Secret,
		"client_assertion": mask.Secret, "private_key": mask.Secret, "SAMLResponse": mask.Secret, "dpop": mask.Secret,
		"key": mask.Doubtful, "session": mask.Doubtful, "code": mask.Doubtful, "x-auth-request-user": mask.Doubtful, "state": mask.Doubtful,
		"sub": mask.Harmless, "roles": mask.Harmless, "method": mask.Harmless, "x-request-id": mask.Harmless, "traceparent": mask.Harmless,
		"token_type": mask.Harmless, "max_tokens": mask.Harmless, "authorization_details": mask.Harmless, "www-authenticate": mask.Harmless,
		"author": mask.Harmless, "": mask.Harmless, "s": mask.Harmless,
	} {
		if got := mask.Judge(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestValue(t *testing.T) {
	for _, tc := range []struct{ name, value, want string }{
		{"authorization", "anything", mask.Text},
		{"authorization", "", ""},
		{"key", "orders", "orders"},
		{"key", hex, mask.Text},
		{"session", "d7f5a1c2-0b6e-4c8f-9a55-6d1f7f6f0b11", mask.Text},
		{"x-tenant", "acme", "acme"},
		{"x-tenant", hex, hex},
		{"x-anything", jwt, mask.Text},
		{"x-anything", "Basic YWxpY2U6c2VjcmV0", mask.Text},
		{"x-anything", "bearer hunter", mask.Text},
		{"x-anything", "Digest username=\"alice\", response=\"6629fae4\"", mask.Text},
		{"user-agent", "Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (X11; Linux x86_64)"},
		{"x-forwarded-client-cert", `Hash=468ed33be74eee65;Subject="CN=web";URI=spiffe://example.org/web`, `Hash=468ed33be74eee65;Subject="CN=web";URI=spiffe://example.org/web`},
		{"www-authenticate", `Bearer realm="orders", error="invalid_token"`, mask.Text},
	} {
		if got := mask.Value(tc.name, tc.value); got != tc.want {
			t.Errorf("%s: %q is recorded as %q, want %q", tc.name, tc.value, got, tc.want)
		}
	}
}

func TestFree(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "",
		"GET":                         "GET",
		"routes[3] /orders/**":        "routes[3] /orders/**",
		"they were new eyeglasses":    "they were new eyeglasses",
		"eyeglasses.example.com.shop": "eyeglasses.example.com.shop",
		"lacks the scope orders:read": "lacks the scope orders:read",
		"token expired":               "token expired",
		"token lacks role admin":      "token lacks role admin",
		"a basic check failed":        "a basic check failed",
		"no Bearer token in the request, Basic authentication is not read": "no Bearer token in the request, Basic authentication is not read",
		"got " + jwt + " instead":                      "got [masked] instead",
		"(" + jwt + ")":                                "([masked])",
		"%22" + jwt + "%22":                            "[masked]",
		strings.ReplaceAll(jwt, ".", "%2E"):            "[masked]",
		"eyJzdWIiOiJhbGljZSJ9":                         "[masked]",
		"ewogICJhbGciOiAibm9uZSJ9.e30.":                "[masked]",
		"a Bearer hunter2 here":                        "a Bearer [masked] here",
		"refused: Basic YWxpY2U6c2VjcmV0":              "refused: Basic [masked]",
		"https://alice:secret@example.org/x?y=1":       "https://[masked]@example.org/x?y=1",
		"https://example.org/@alice":                   "https://example.org/@alice",
		"https://example.org/?a=1&access_token=x7#top": "https://example.org/?a=1&access_token=[masked]#top",
		"a=1; password=hunter2; b=2":                   "a=1; password=[masked]; b=2",
		`realm="x", client_secret="a b", b="2"`:        `realm="x", client_secret=[masked]", b="2"`,
		"?code=" + hex + "&code=7":                     "?code=[masked]&code=7",
		"?access%5Ftoken=x7":                           "?access%5Ftoken=[masked]",
		`{"amount": 1, "password": "hunter2"}`:         "[masked]",
		`{"amount": 1}`:                                `{"amount": 1}`,
		"-----BEGIN EC PRIVATE KEY-----\nMHc":          "[masked]",
	} {
		if got := mask.Free(text); got != want {
			t.Errorf("%q is recorded as %q, want %q", text, got, want)
		}
	}
}

func TestPath(t *testing.T) {
	for path, want := range map[string]string{
		"/":                      "/",
		"/orders/7":              "/orders/7",
		"/orders/" + hex:         "/orders/" + hex,
		"/reset-token/" + hex:    "/reset-token/[masked]",
		"/keys/" + hex + "/x":    "/keys/[masked]/x",
		"/verify/" + jwt:         "/verify/[masked]",
		"/a?b=1&token=x&c=2":     "/a?b=1&token=[masked]&c=2",
		"/token/" + hex + "?a=1": "/token/[masked]?a=1",
		"":                       "",
		"*":                      "*",
	} {
		if got := mask.Path(path); got != want {
			t.Errorf("%q is recorded as %q, want %q", path, got, want)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	for _, text := range []string{"", "plain", "a\"b\\c\n\t\x00\x7f", "grüße €", "\u2028<&>", "bad \xff\xc3( end", strings.Repeat("é\"", 50)} {
		line := mask.AppendJSON([]byte("x"), text)
		var got string
		if err := json.Unmarshal(line[1:], &got); err != nil {
			t.Errorf("%q: %v in %s", text, err, line)
		}
		if want := strings.ToValidUTF8(text, "\uFFFD"); strings.ReplaceAll(got, "\uFFFD\uFFFD", "\uFFFD") != want {
			t.Errorf("%q reads as %q", text, got)
		}
	}
}

// TestFreeTakesLittleTime has texts that a caller could make to keep us busy. Each would take hours if
// the time grew faster than the length.
func TestFreeTakesLittleTime(t *testing.T) {
	for _, part := range []string{"=", "a=", "a=a", "%3D", "://", "://a@", "e", "ey", "eyJ.", "bearer ", "bearer x ", "{", "{\"a\":", "token=x&", "a=%3D%26", "/key/" + hex, " ", "?", "\""} {
		text := strings.Repeat(part, 1<<14/len(part))
		mask.Free(text)
		mask.Path("/" + text)
		mask.Value("key", text)
		if got := mask.Free(text + text + "="); len(text)*2 > 16<<10 && got != mask.Text {
			t.Errorf("%q…: a long text was looked through", part)
		}
	}
}
