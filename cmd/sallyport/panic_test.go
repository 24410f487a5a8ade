package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/envoy"
)

// planted panics in one stage, with a secret in its text; the others say yes.
type planted struct{ stage string }

func (p planted) reached(stage string) {
	if p.stage == stage {
		panic("planted-secret") //nolint:forbidigo // what the line must survive
	}
}

func (p planted) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	p.reached("the first door")
	return authz.Identity{}, nil
}

func (p planted) Decide(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
	p.reached("the second door")
	return authz.Decision{Allowed: true}, nil
}

func (p planted) Record(context.Context, *authz.Record) error {
	p.reached("a recorder")
	return nil
}

// TestPanicsDenyAndCount plants a panic in each stage of the line that serve builds: the check is denied
// over gRPC, /metrics counts it as internal, the next one is answered, and nobody repeats the panic's
// text.
func TestPanicsDenyAndCount(t *testing.T) {
	for _, stage := range []string{"the first door", "the second door", "a recorder", "none"} {
		t.Run(stage, func(t *testing.T) {
			cfg, err := config.Parse("sallyport.yaml", []byte(`listen: {grpc: "127.0.0.1:0", admin: "127.0.0.1:0"}`))
			if err != nil {
				t.Fatal(err)
			}
			l, conn := running(t, cfg)
			p := planted{stage}
			recorders := append(authz.Recorders{p}, l.watched.Recorders()...) // as newService has it
			checker := newChecker(cfg, l.watched.Verifier(p), l.watched.Decider(p), recorders)
			if err := l.service.Replace(t.Context(), &envoy.Server{Checker: checker}); err != nil {
				t.Fatal(err)
			}
			const checks = 3
			for range checks {
				answer, err := auth.NewAuthorizationClient(conn).Check(t.Context(), &auth.CheckRequest{Attributes: &auth.AttributeContext{}})
				if err != nil {
					t.Fatalf("a gRPC error, which failure_mode_allow would make an allow: %v", err)
				}
				if denied := answer.GetDeniedResponse().GetStatus().GetCode(); (denied == 500) != (stage != "none") {
					t.Errorf("answered %v", answer)
				}
				if text, err := proto.Marshal(answer); err != nil || strings.Contains(string(text), "planted") {
					t.Errorf("answered %v, %v", answer, err)
				}
			}
			counted := `sallyport_checks_total{sallyport_decision_outcome="denied",sallyport_decision_reason="internal"} `
			if stage == "none" {
				counted = `sallyport_checks_total{sallyport_decision_outcome="allowed",sallyport_decision_reason="allowed"} `
			}
			metrics := (&sallyport{adminAddr: l.server.AdminAddr()}).scrape(t)
			if !strings.Contains(metrics, counted+fmt.Sprint(checks)) || strings.Contains(metrics, "planted") {
				t.Errorf("/metrics lacks %s%d:\n%s", counted, checks, metrics)
			}
		})
	}
}
