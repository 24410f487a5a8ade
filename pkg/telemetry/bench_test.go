package telemetry_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/telemetry"
)

// BenchmarkCheck measures what telemetry adds to a check whose doors cost nothing: off, with metrics
// for /metrics as by default, with OTLP metrics too, and with spans, sampled or not.
func BenchmarkCheck(b *testing.B) {
	for _, bench := range []struct {
		name string
		cfg  telemetry.Config
		env  map[string]string
	}{
		{name: "off"},
		{name: "metrics", cfg: telemetry.Config{Prometheus: true}},
		{name: "metrics and OTLP", cfg: telemetry.Config{Prometheus: true}, env: map[string]string{
			"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}},
		{name: "metrics and spans, not sampled", cfg: telemetry.Config{Prometheus: true, Spans: true}, env: map[string]string{"OTEL_TRACES_SAMPLER": "always_off"}},
		{name: "metrics and spans", cfg: telemetry.Config{Prometheus: true, Spans: true}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for name, value := range bench.env {
				b.Setenv(name, value)
			}
			c := newCheck(b, bench.cfg)
			b.ReportAllocs()
			for b.Loop() {
				c.run(b.Context())
			}
		})
	}
}

// A check takes one request through a line whose doors cost nothing.
type check struct {
	checker   authz.Checker
	intercept grpc.UnaryServerInterceptor
	telemetry *telemetry.Telemetry
	headers   headers
	req       *authz.Request
	within    func() // called in the middle of a check; nil: nothing
}

// Headers are those of a client: a telemetry.Check.
type headers map[string]string

func (h headers) ClientHeader(name string) string { return h[name] }

func newCheck(tb testing.TB, cfg telemetry.Config) *check {
	tb.Helper()
	cfg.Issuers = map[string]string{"users": "https://issuer.example"}
	t, err := telemetry.New(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { t.Shutdown(context.Background()) })
	d := doors{telemetry: t}
	return &check{
		checker:   authz.Checker{Verifier: t.Verifier(d), Decider: t.Decider(d), Recorder: t.Recorders()},
		intercept: t.Intercept,
		telemetry: t,
		headers:   headers{},
		req:       &authz.Request{HTTP: &authz.HTTP{Method: "GET", Scheme: "https", Host: "orders.example", Path: authz.Path{Raw: "/orders/7"}}},
	}
}

func (c *check) run(ctx context.Context) (d authz.Decision) {
	c.intercept(ctx, c.headers, &grpc.UnaryServerInfo{FullMethod: "/envoy.service.auth.v3.Authorization/Check"}, func(ctx context.Context, _ any) (any, error) {
		if c.within != nil {
			c.within()
		}
		d = c.checker.Check(ctx, c.req)
		return nil, nil
	})
	return d
}

// Doors cost nothing, and tell telemetry of a slot as the first door does.
type doors struct{ telemetry *telemetry.Telemetry }

func (d doors) Verify(ctx context.Context, _ *authz.Request) (authz.Identity, error) {
	if d.telemetry.Traces() {
		_, done := d.telemetry.Judge(ctx, "users")
		done(true, nil)
	}
	return authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenValid}}}, nil
}

func (doors) Decide(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
	return authz.Decision{Allowed: true, Revision: "r1", Entrypoint: "data.envoy.authz.allow"}, nil
}
