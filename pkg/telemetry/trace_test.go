package telemetry_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/telemetry"
	"github.com/sallyport/sallyport/pkg/telemetry/telemetrytest"
)

const (
	envoyTrace  = "11111111111111111111111111111111"
	clientTrace = "22222222222222222222222222222222"
)

func traceparent(id string) string { return "00-" + id + "-3333333333333333-01" }

// A story is a line whose doors do what a test says, watched.
type story struct {
	verify func(ctx context.Context, tel *telemetry.Telemetry) (authz.Identity, error)
	decide func() (authz.Decision, error)
	tel    *telemetry.Telemetry
}

func (s story) Verify(ctx context.Context, _ *authz.Request) (authz.Identity, error) {
	return s.verify(ctx, s.tel)
}

func (s story) Decide(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
	return s.decide()
}

// tell runs one check as the server does.
func (s story) tell(ctx context.Context, t *testing.T, cfg telemetry.Config, client headers, req *authz.Request) {
	t.Helper()
	cfg.Issuers = map[string]string{"users": "https://issuer.example"}
	tel := start(t, cfg)
	told := story{s.verify, s.decide, tel}
	checker := authz.Checker{Verifier: tel.Verifier(told), Decider: tel.Decider(told), Recorder: tel.Recorders()}
	info := &grpc.UnaryServerInfo{FullMethod: "/envoy.service.auth.v3.Authorization/Check"}
	tel.Intercept(ctx, client, info, func(ctx context.Context, _ any) (any, error) {
		if d := checker.Check(ctx, req); d.Reason == authz.NotReady {
			return nil, status.Error(codes.Unavailable, "not ready")
		}
		return nil, nil
	})
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func orders() *authz.Request {
	return &authz.Request{
		Source: authz.Peer{Principal: "spiffe://example.org/web", Address: "192.0.2.7"},
		HTTP: &authz.HTTP{Method: "GET", Scheme: "https", Host: "orders.example:8443", Path: authz.Path{Raw: "/orders/7?token=secret"},
			Headers: authz.Headers{"authorization": {"Bearer secret"}}},
	}
}

func allowed() story {
	return story{
		verify: func(ctx context.Context, tel *telemetry.Telemetry) (authz.Identity, error) {
			slot, done := tel.Judge(ctx, "users")
			tel.Waited(slot, "https://issuer.example", nil)
			done(false, nil)
			return authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenValid, Claims: map[string]any{"email": "secret"}}}}, nil
		},
		decide: func() (authz.Decision, error) {
			return authz.Decision{Allowed: true, Detail: "clerks may read", Revision: "r1", Entrypoint: "data.envoy.authz.allow", Cached: true,
				Metadata: map[string]any{"rule": "clerks", "route": "/orders/*", "other": 1}}, nil
		},
	}
}

func TestTrace(t *testing.T) {
	refusal := &authz.Error{Reason: authz.TokenKeysUnavailable, Err: errors.New("token: the issuer cannot be asked")}
	refused, broken, unready := allowed(), allowed(), allowed()
	refused.verify = func(ctx context.Context, tel *telemetry.Telemetry) (authz.Identity, error) {
		slot, done := tel.Judge(ctx, "users")
		tel.Waited(slot, "https://issuer.example", refusal)
		done(false, refusal)
		return authz.Identity{}, refusal
	}
	broken.decide = func() (authz.Decision, error) {
		return authz.Decision{Revision: "r1", Entrypoint: "data.envoy.authz.allow"}, &authz.Error{Reason: authz.PolicyUndefined, Err: errors.New("policy: no answer to token=c2VjcmV0")}
	}
	unready.decide = func() (authz.Decision, error) {
		return authz.Decision{}, &authz.Error{Reason: authz.NotReady, Err: errors.New("policy: none yet")}
	}
	odd := orders()
	odd.HTTP.Method, odd.HTTP.Host = "SECRET", "orders.example"
	odd.HTTP.Path.Raw = "/reset-token/4f3c9a1be07d52c86a7e/eyJhbGciOiJub25lIn0.e30.c2ln?access_token=a"
	const common = "client.address=192.0.2.7 http.request.method=GET rpc.method=envoy.service.auth.v3.Authorization/Check rpc.response.status_code=OK rpc.system.name=grpc " +
		"sallyport.source.principal=spiffe://example.org/web server.address=orders.example server.port=8443 url.path=/orders/7 url.scheme=https"
	for name, tc := range map[string]struct {
		story story
		req   *authz.Request
		want  []string
	}{
		"allowed": {allowed(), orders(), []string{
			"envoy.service.auth.v3.Authorization/Check: " + common + " http.route=/orders/* sallyport.decision.allowed=true sallyport.decision.detail=clerks may read sallyport.decision.reason=allowed " +
				"sallyport.policy.entrypoint=data.envoy.authz.allow sallyport.policy.revision=r1 sallyport.policy.rule=clerks",
			"evaluate policy: sallyport.policy.cached=true sallyport.policy.entrypoint=data.envoy.authz.allow sallyport.policy.revision=r1",
			"verify token users: sallyport.token.cached=false sallyport.token.issuer=https://issuer.example sallyport.token.outcome=valid sallyport.token.rule=users" +
				" [sallyport.jwks.fetched: sallyport.jwks.outcome=ok sallyport.token.issuer=https://issuer.example]",
			"verify token: ",
		}},
		"the issuer is down": {refused, orders(), []string{
			"envoy.service.auth.v3.Authorization/Check ERROR: " + common + " error.type=token_keys_unavailable http.response.status_code=503 sallyport.decision.allowed=false " +
				"sallyport.decision.detail=token: the issuer cannot be asked sallyport.decision.reason=token_keys_unavailable",
			"verify token ERROR: error.type=token_keys_unavailable",
			"verify token users ERROR: error.type=token_keys_unavailable sallyport.token.cached=false sallyport.token.issuer=https://issuer.example sallyport.token.outcome=token_keys_unavailable sallyport.token.rule=users" +
				" [sallyport.jwks.fetched: sallyport.jwks.outcome=failed sallyport.token.issuer=https://issuer.example]",
		}},
		"denied": {broken, odd, []string{
			"envoy.service.auth.v3.Authorization/Check: " + strings.NewReplacer("method=GET", "method=_OTHER", " server.port=8443", "", "/orders/7", "/reset-token/[masked]/[masked]").Replace(common) +
				" http.response.status_code=403 sallyport.decision.allowed=false " +
				"sallyport.decision.detail=policy: no answer to token=[masked] sallyport.decision.reason=policy_undefined sallyport.policy.entrypoint=data.envoy.authz.allow sallyport.policy.revision=r1",
			"evaluate policy: error.type=policy_undefined sallyport.policy.cached=false sallyport.policy.entrypoint=data.envoy.authz.allow sallyport.policy.revision=r1",
		}},
		"not ready": {unready, orders(), []string{
			"envoy.service.auth.v3.Authorization/Check ERROR: " + strings.Replace(common, "=OK", "=UNAVAILABLE", 1) + " error.type=not_ready http.response.status_code=503 sallyport.decision.allowed=false " +
				"sallyport.decision.detail=policy: none yet sallyport.decision.reason=not_ready",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, "")
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("traceparent", traceparent(envoyTrace)))
			tc.story.tell(ctx, t, telemetry.Config{}, headers{}, tc.req)
			got := shown(r.Kept().Spans)
			for _, want := range tc.want {
				if !slices.Contains(got, sorted(want)) {
					t.Errorf("there is no\n%s\nbut\n%s", sorted(want), strings.Join(got, "\n"))
				}
			}
			inOneTrace(t, r.Kept().Spans)
		})
	}
}

// inOneTrace wants all spans in Envoy's trace, the root below Envoy's span, the doors below the root,
// and slots below the first door.
func inOneTrace(t *testing.T, spans []telemetrytest.Span) {
	t.Helper()
	parents := map[string]string{"envoy.service.auth.v3.Authorization/Check": "", "verify token": "envoy.service.auth.v3.Authorization/Check",
		"evaluate policy": "envoy.service.auth.v3.Authorization/Check", "verify token users": "verify token"}
	names := map[string]string{}
	for _, s := range spans {
		names[hex.EncodeToString(s.GetSpanId())] = s.GetName()
	}
	for _, s := range spans {
		parent := hex.EncodeToString(s.GetParentSpanId())
		if hex.EncodeToString(s.GetTraceId()) != envoyTrace || names[parent] != parents[s.GetName()] || parent == "" {
			t.Errorf("%s is in trace %x, below %q", s.GetName(), s.GetTraceId(), names[parent])
		}
		if want := s.GetName() == "envoy.service.auth.v3.Authorization/Check"; (s.GetKind() == tracepb.Span_SPAN_KIND_SERVER) != want {
			t.Errorf("%s is of kind %v", s.GetName(), s.GetKind())
		}
	}
}

func shown(spans []telemetrytest.Span) []string {
	var out []string
	for _, s := range spans {
		line := s.GetName()
		if s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR {
			line += " ERROR"
		}
		line += ": " + printed(s.GetAttributes())
		for _, e := range s.GetEvents() {
			line += " [" + e.GetName() + ": " + printed(e.GetAttributes()) + "]"
		}
		out = append(out, line)
	}
	return out
}

func printed(attributes []*commonpb.KeyValue) string {
	var texts []string
	for _, a := range attributes {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			texts = append(texts, a.GetKey()+"="+v.StringValue)
		case *commonpb.AnyValue_BoolValue:
			texts = append(texts, fmt.Sprintf("%s=%v", a.GetKey(), v.BoolValue))
		case *commonpb.AnyValue_IntValue:
			texts = append(texts, fmt.Sprintf("%s=%d", a.GetKey(), v.IntValue))
		}
	}
	texts = slices.DeleteFunc(texts, func(text string) bool { return strings.HasPrefix(text, "sallyport.decision.id=") })
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

// sorted puts the attributes of a wanted line in order: each begins with a name that has a dot.
func sorted(line string) string {
	head, attributes, _ := strings.Cut(line, ": ")
	attributes, events, has := strings.Cut(attributes, " [")
	var texts []string
	for word := range strings.SplitSeq(attributes, " ") {
		if name, _, isAttribute := strings.Cut(word, "="); isAttribute && strings.Contains(name, ".") {
			texts = append(texts, word)
		} else if len(texts) > 0 {
			texts[len(texts)-1] += " " + word
		}
	}
	slices.Sort(texts)
	line = head + ": " + strings.Join(texts, " ")
	if has {
		line += " [" + events
	}
	return line
}

// TestClientTrace: Envoy's word goes before the client's.
func TestClientTrace(t *testing.T) {
	for name, tc := range map[string]struct {
		setting           telemetry.ClientTrace
		envoy, client     string
		wantTrace, wantIn string // the link's; "" none
	}{
		"a link":                        {"", envoyTrace, traceparent(clientTrace), envoyTrace, clientTrace},
		"a link, without Envoy's":       {telemetry.LinkClient, "", traceparent(clientTrace), "", clientTrace},
		"Envoy took it up":              {telemetry.LinkClient, clientTrace, traceparent(clientTrace), clientTrace, ""},
		"ignored":                       {telemetry.IgnoreClient, envoyTrace, traceparent(clientTrace), envoyTrace, ""},
		"followed":                      {telemetry.FollowClient, "", traceparent(clientTrace), clientTrace, ""},
		"to be followed, beside Envoys": {telemetry.FollowClient, envoyTrace, traceparent(clientTrace), envoyTrace, clientTrace},
		"none":                          {telemetry.FollowClient, envoyTrace, "", envoyTrace, ""},
		"rubbish":                       {telemetry.LinkClient, envoyTrace, "00-secret", envoyTrace, ""},
		"two":                           {telemetry.LinkClient, envoyTrace, traceparent(clientTrace) + "," + traceparent(clientTrace), envoyTrace, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(t, "grpc")
			ctx := t.Context()
			if tc.envoy != "" {
				ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("traceparent", traceparent(tc.envoy)))
			}
			client := headers{"traceparent": tc.client, "tracestate": "vendor=secret"}
			allowed().tell(ctx, t, telemetry.Config{ClientTrace: tc.setting}, client, orders())
			for _, s := range r.Kept().Spans {
				if got := hex.EncodeToString(s.GetTraceId()); got != tc.wantTrace && tc.wantTrace != "" {
					t.Errorf("%s is in trace %s", s.GetName(), got)
				}
				if s.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
					continue
				}
				var links string
				for _, l := range s.GetLinks() {
					links += hex.EncodeToString(l.GetTraceId())
				}
				if links != tc.wantIn {
					t.Errorf("links to %q, want %q", links, tc.wantIn)
				}
				if strings.Contains(s.String(), "secret") {
					t.Errorf("the client's tracestate, or another secret, is in %v", s)
				}
			}
		})
	}
}

// TestNotSampled: a span that is not recorded has no children, and the check goes on.
func TestNotSampled(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	r := receive(t, "")
	allowed().tell(t.Context(), t, telemetry.Config{}, headers{}, orders())
	if spans := r.Kept().Spans; len(spans) > 0 {
		t.Errorf("%d spans came", len(spans))
	}
}

func TestTraceID(t *testing.T) {
	if id := telemetry.TraceID(t.Context()); id != "" {
		t.Errorf("trace id %q outside of a trace", id)
	}
	if id := telemetry.TraceID(inSpan(t.Context())); id != "01000000000000000000000000000000" {
		t.Errorf("trace id %q", id)
	}
}
