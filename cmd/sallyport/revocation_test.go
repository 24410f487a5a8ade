package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// TestRevocationFromPolicyData takes a token, and no longer once the policy's data revokes it, though
// the token is in the cache.
func TestRevocationFromPolicyData(t *testing.T) {
	issuer, err := tokentest.New(tokentest.Config{Algorithms: []string{"ES256"}})
	if err != nil {
		t.Fatal(err)
	}
	defer issuer.Close()
	text, err := issuer.Token("orders", map[string]any{"jti": "t1"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("allow.rego", "package envoy.authz\n\nallow := true\n")
	write("data.json", `{"lists": {"revoked": []}}`)
	cfg, err := config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte(`
listen: {grpc: "127.0.0.1:0", admin: ""}
jwt:
  revocation: {data: lists}
  rules: [{name: users, issuer: "`+issuer.URL+`", audiences: [orders]}]
policy: {files: [allow.rego, data.json]}
`))
	if err != nil {
		t.Fatal(err)
	}
	_, conn := running(t, cfg)
	reason := func() string {
		t.Helper()
		answer, err := auth.NewAuthorizationClient(conn).Check(t.Context(), &auth.CheckRequest{
			Attributes: &auth.AttributeContext{Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
				Method: "GET", Path: "/", Headers: map[string]string{"authorization": "Bearer " + text},
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetStatus().GetMessage()
	}
	for range 2 { // the second time from the cache
		if got := reason(); got != "" {
			t.Fatalf("denied before it was revoked: %s", got)
		}
	}
	write("data.json", `{"lists": {"revoked": [{"issuer": "`+issuer.URL+`", "jti": "t1"}]}}`)
	start, tick := time.Now(), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for reason() != "token_revoked" {
		if <-tick.C; time.Since(start) > 20*time.Second {
			t.Fatal("the token is still taken")
		}
	}
	t.Logf("refused after %s", time.Since(start).Round(time.Millisecond))
}
