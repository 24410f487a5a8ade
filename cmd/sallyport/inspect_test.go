package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
	"github.com/sallyport/sallyport/pkg/inspect"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
	decisionv1 "github.com/sallyport/sallyport/proto/sallyport/decision/v1"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

const inspectable = `
listen: {grpc: "127.0.0.1:0", admin: "127.0.0.1:0", drain: {delay: 0s}}
jwt:
  rules:
    - {name: users, issuer: "https://issuer.example.com", audiences: [orders], jwksUri: "https://issuer.example.com/jwks"}
policy: {files: [authz.rego]}
`

const admins = `package envoy.authz

default allow := false

allow if {
	input.parsed_path[0] == "orders"
	"admin" in input.tokens.users.claims.roles
}
`

// startInspected runs a policy, and connects to the admin listener.
func startInspected(t *testing.T, rego string) (*sallyport, *grpc.ClientConn) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "authz.rego"), []byte(rego), 0o600); err != nil {
		t.Fatal(err)
	}
	issuer, err := tokentest.New(tokentest.Config{Algorithms: []string{"ES256"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { issuer.Close() })
	cfg, err := config.Parse(filepath.Join(dir, "sallyport.yaml"), bytes.ReplaceAll([]byte(inspectable), []byte("https://issuer.example.com"), []byte(issuer.URL)))
	if err != nil {
		t.Fatal(err)
	}
	s := &sallyport{issuer: issuer, decisions: newOutput(), messages: newOutput()}
	s.run(t, cfg)
	conn, err := grpc.NewClient(s.adminAddr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return s, conn
}

// ask makes a check as Envoy would.
func (s *sallyport) ask(t *testing.T, path, token string) {
	t.Helper()
	conn, err := grpc.NewClient(s.addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://orders.example.com"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	answer, err := (&envoytest.Client{Sallyport: conn, Upstream: upstream.Listener.Addr().String()}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
}

// startWatch returns once nothing is missed.
func startWatch(t *testing.T, conn *grpc.ClientConn, in *inspectv1.WatchRequest) func() *inspectv1.WatchResponse {
	t.Helper()
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/"+inspect.ServiceName+"/Watch")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(in); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Header(); err != nil {
		t.Fatal(err)
	}
	return func() *inspectv1.WatchResponse {
		t.Helper()
		out := &inspectv1.WatchResponse{}
		if err := stream.RecvMsg(out); err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func explainID(t *testing.T, conn *grpc.ClientConn, id string) *inspectv1.ExplainResponse {
	t.Helper()
	in := &inspectv1.ExplainRequest{Subject: &inspectv1.ExplainRequest_DecisionId{DecisionId: id}}
	out, err := call[inspectv1.ExplainRequest, inspectv1.ExplainResponse](t.Context(), conn, "Explain", in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestInspect watches decisions, and explains each by its id.
func TestInspect(t *testing.T) {
	s, conn := startInspected(t, admins)
	denied := false
	next := startWatch(t, conn, &inspectv1.WatchRequest{Allowed: &denied, PathPrefix: "/orders"})
	s.ask(t, "/orders/1", s.token(t, map[string]any{"roles": []string{"admin"}})) // is allowed
	s.ask(t, "/elsewhere", "")                                                    // is no order
	s.ask(t, "/orders/7", s.token(t, map[string]any{"roles": []string{"clerk"}}))
	s.ask(t, "/orders/8", s.token(t, map[string]any{"iat": 1, "exp": 2}))

	second := explainID(t, conn, next().GetDecision().GetDecisionId())
	if got := second.GetDecision(); got.GetPath() != "/orders/7" || got.GetTokens()["users"].GetSub() != "alice" {
		t.Errorf("the decision is %v", got)
	}
	if second.GetStoppedAt() != "second_door" || strings.Join(second.GetWouldAllow(), ";") != `roles contained "admin"` {
		t.Errorf("stopped at %s, would be allowed if %q, notes %q", second.GetStoppedAt(), second.GetWouldAllow(), second.GetNotes())
	}
	failed := false
	for _, r := range second.GetNow().GetRules() {
		at := r.GetFailedAt()
		failed = failed || r.GetOutcome() == "failed" && strings.HasSuffix(at.GetFile(), "authz.rego") && at.GetLine() == 7
	}
	if !failed {
		t.Errorf("no rule failed at line 7: %v", second.GetNow())
	}

	first := explainID(t, conn, next().GetDecision().GetDecisionId())
	if first.GetStoppedAt() != "first_door" || first.GetDecision().GetReason() != "token_expired" || first.GetNow() != nil {
		t.Errorf("an expired token is explained as %v", first)
	}

	about, err := call[inspectv1.PolicyRequest, inspectv1.PolicyResponse](t.Context(), conn, "Policy", &inspectv1.PolicyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	reads := strings.Join(about.GetEntrypoints()[0].GetReads(), " ")
	if reads != "input.parsed_path input.tokens.users.claims.roles" || about.GetRevision() != second.GetDecision().GetRevision() {
		t.Errorf("the policy is %v", about)
	}
}

// TestInspectRequest explains a request that nobody made: nothing is recorded of it.
func TestInspectRequest(t *testing.T) {
	s, conn := startInspected(t, admins)
	in := &inspectv1.ExplainRequest{Subject: &inspectv1.ExplainRequest_Request{Request: &inspectv1.Request{
		Path: "/orders/1", Host: "orders.example.com",
		Headers: map[string]string{"Authorization": "Bearer " + s.token(t, map[string]any{"roles": []string{"admin"}})},
	}}}
	out, err := call[inspectv1.ExplainRequest, inspectv1.ExplainResponse](t.Context(), conn, "Explain", in)
	if err != nil {
		t.Fatal(err)
	}
	if !out.GetDecision().GetAllowed() || out.GetStoppedAt() != "" || !out.GetNow().GetAllowed() || len(out.GetNotes()) != 0 {
		t.Errorf("explained as %v", out)
	}
	s.stop()
	if log := s.decisions.String(); log != "" {
		t.Errorf("the decision log has %s", log)
	}
}

// TestInspectSecrets looks for what was planted in all that the service says, though the policy reads all.
func TestInspectSecrets(t *testing.T) {
	const compares = `
default permitted := false

permitted if input.tokens.users.claims.note == input.attributes.request.http.headers["x-note"]

permitted if input.tokens.users.claims.api_key in [input.parsed_body.in[0].api_key, base64.encode(input.attributes.request.http.headers.cookie)]
`
	s, conn := startInspected(t, strings.Replace(readsAll, `"allowed": false`, `"allowed": permitted`, 1)+compares)
	next := startWatch(t, conn, &inspectv1.WatchRequest{})
	askWithSecrets(t, s.addr.String())
	watched := next()
	explained := explainID(t, conn, watched.GetDecision().GetDecisionId())
	if len(explained.GetWouldAllow()) == 0 || len(explained.GetNow().GetRules()) == 0 {
		t.Errorf("explained as %v", explained)
	}
	texts := prototext.Format(watched) + prototext.Format(explained) + protojson.Format(explained)
	if strings.Contains(texts, "planted") || !strings.Contains(texts, "[masked]") {
		t.Errorf("a secret is in\n%s", texts)
	}
}

// TestWatchAndWhy is the command line against a running server.
func TestWatchAndWhy(t *testing.T) {
	s, _ := startInspected(t, admins)
	admin := s.adminAddr.String()
	watched, messages := newOutput(), newOutput()
	ended := make(chan int, 1)
	go func() {
		ended <- run([]string{"watch", "--admin", admin, "--denied", "--subject", "alice", "--limit", "1"}, watched, messages)
	}()
	clerk, code := s.token(t, map[string]any{"roles": []string{"clerk"}}), -1
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for code < 0 { // nobody says when the command watches
		s.ask(t, "/orders/7", clerk)
		select {
		case code = <-ended:
		case <-tick.C:
		}
	}
	var d decisionv1.Decision
	if err := protojson.Unmarshal([]byte(watched.String()), &d); code != 0 || err != nil {
		t.Fatalf("status %d, %v: %s%s", code, err, watched, messages)
	}
	out := newOutput()
	if code := run([]string{"why", "--admin", admin, d.GetDecisionId()}, out, messages); code != 0 {
		t.Fatalf("status %d: %s", code, messages)
	}
	for _, want := range []string{
		"denied: policy_denied\n", "second door", "valid alice", "would be allowed if  roles contained \"admin\"\n",
		"authz.rego:7: \"admin\" in input.tokens.users.claims.roles\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it lacks %q:\n%s", want, out)
		}
	}
}
