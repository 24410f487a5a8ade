package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
)

// TestServeBeforeTheFirstPolicy has a bundle server that is down: the server starts, says that it is
// not ready, and answers no check.
func TestServeBeforeTheFirstPolicy(t *testing.T) {
	down, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	down.Close()
	cfg, err := config.Parse("sallyport.yaml", []byte(`
listen: {grpc: "127.0.0.1:0", admin: "127.0.0.1:0", drain: {delay: 0s}}
policy:
  opa:
    services: {registry: {url: "http://`+down.Addr().String()+`"}}
    bundles: {authz: {service: registry}}
`))
	if err != nil {
		t.Fatal(err)
	}
	l, conn := running(t, cfg)
	checkReadiness(t, "http://"+l.server.AdminAddr().String()+"/readyz")
	_, err = auth.NewAuthorizationClient(conn).Check(t.Context(), &auth.CheckRequest{
		Attributes: &auth.AttributeContext{Request: &auth.AttributeContext_Request{
			Http: &auth.AttributeContext_HttpRequest{Method: "GET", Path: "/", Headers: map[string]string{}},
		}},
	})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a check: %v, want %v", err, codes.Unavailable)
	}
}

// running serves a configuration until the test ends, and then ends without delay.
func running(t *testing.T, cfg *config.Config, recorders ...authz.Recorder) (*line, *grpc.ClientConn) {
	t.Helper()
	cfg.Listen.Drain.Delay = 0
	l, err := build(t.Context(), cfg, environment{stdout: io.Discard, logger: slog.New(slog.DiscardHandler), recorders: recorders})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- l.run(ctx) }()
	conn, err := grpc.NewClient(l.server.GRPCAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return l, conn
}

func checkReadiness(t *testing.T, url string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "waiting for the bundles authz") {
		t.Errorf("readyz: %s, %s", response.Status, body)
	}
}
