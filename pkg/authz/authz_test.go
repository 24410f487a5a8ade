package authz_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/pkg/authz"
)

type verify func(context.Context, *authz.Request) (authz.Identity, error)

func (f verify) Verify(ctx context.Context, req *authz.Request) (authz.Identity, error) {
	return f(ctx, req)
}

type decide func(context.Context, *authz.Request, authz.Identity) (authz.Decision, error)

func (f decide) Decide(ctx context.Context, req *authz.Request, id authz.Identity) (authz.Decision, error) {
	return f(ctx, req, id)
}

type records []authz.Record

func (rs *records) Record(_ context.Context, r *authz.Record) { *rs = append(*rs, *r) }

type panicking struct{}

func (panicking) Record(context.Context, *authz.Record) { panic("disk") }

var (
	missing = authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenMissing}}}
	valid   = authz.Identity{Tokens: map[string]authz.Token{"users": {Status: authz.TokenValid}}}
)

func identified(id authz.Identity, err error) verify {
	return func(context.Context, *authz.Request) (authz.Identity, error) { return id, err }
}

func decided(d authz.Decision, err error) decide {
	return func(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) { return d, err }
}

func get(path string, headers authz.Headers) *authz.Request {
	parsed, err := authz.ParsePath(path)
	return &authz.Request{Fault: err, HTTP: &authz.HTTP{Method: "GET", Path: parsed, Headers: headers}}
}

func failure(reason authz.Reason) error {
	return &authz.Error{Reason: reason, Err: errors.New("for the operator alone")}
}

// Every way to fail is a denial, with a Reason, a status and exactly one record (rules 1, 4 and 8).
func TestFailClosed(t *testing.T) {
	allow := decided(authz.Decision{Allowed: true}, nil)
	expired, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
	defer cancel()

	for name, tc := range map[string]struct {
		ctx        context.Context
		req        *authz.Request
		verifier   authz.Verifier
		decider    authz.Decider
		wantReason authz.Reason
		wantStatus int
	}{
		"unreadable": {
			req: &authz.Request{Fault: failure(authz.MalformedRequest)}, verifier: identified(valid, nil), decider: allow,
			wantReason: authz.MalformedRequest, wantStatus: 400,
		},
		"ambiguous path": {
			req: get("/public/..%2forders", nil), verifier: identified(valid, nil), decider: allow,
			wantReason: authz.PathAmbiguous, wantStatus: 400,
		},
		"bad token": {
			verifier: identified(missing, failure(authz.TokenExpired)), decider: allow,
			wantReason: authz.TokenExpired, wantStatus: 401,
		},
		"two credentials": {
			verifier: identified(missing, failure(authz.TokenMultiple)), decider: allow,
			wantReason: authz.TokenMultiple, wantStatus: 400,
		},
		"no keys yet": {
			verifier: identified(missing, failure(authz.TokenKeysUnavailable)), decider: allow,
			wantReason: authz.TokenKeysUnavailable, wantStatus: 503,
		},
		"verifier fails without a reason": {
			verifier: identified(valid, errors.New("surprise")), decider: allow,
			wantReason: authz.Internal, wantStatus: 500,
		},
		"verifier panics": {
			verifier: verify(func(context.Context, *authz.Request) (authz.Identity, error) { panic("x") }), decider: allow,
			wantReason: authz.Internal, wantStatus: 500,
		},
		"zero decision": {
			verifier: identified(valid, nil), decider: decided(authz.Decision{}, nil),
			wantReason: authz.PolicyDenied, wantStatus: 403,
		},
		"denied without a token": {
			verifier: identified(missing, nil), decider: decided(authz.Decision{}, nil),
			wantReason: authz.PolicyDenied, wantStatus: 401,
		},
		"denied where no token is configured": {
			verifier: identified(authz.Identity{}, nil), decider: decided(authz.Decision{}, nil),
			wantReason: authz.PolicyDenied, wantStatus: 403,
		},
		"denied network check": {
			req: &authz.Request{}, verifier: identified(missing, nil), decider: decided(authz.Decision{}, nil),
			wantReason: authz.PolicyDenied, wantStatus: 403,
		},
		"the policy's own status": {
			verifier: identified(missing, nil), decider: decided(authz.Decision{Status: 429}, nil),
			wantReason: authz.PolicyDenied, wantStatus: 429,
		},
		"a denial that says allowed": {
			verifier: identified(valid, nil), decider: decided(authz.Decision{Reason: authz.Allowed}, nil),
			wantReason: authz.PolicyDenied, wantStatus: 403,
		},
		"an error beside an allow": {
			verifier: identified(valid, nil), decider: decided(authz.Decision{Allowed: true}, failure(authz.PolicyError)),
			wantReason: authz.PolicyError, wantStatus: 403,
		},
		"no policy yet": {
			verifier: identified(valid, nil), decider: decided(authz.Decision{}, failure(authz.NotReady)),
			wantReason: authz.NotReady, wantStatus: 503,
		},
		"decider panics": {
			verifier: identified(valid, nil),
			decider: decide(func(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
				var nobody *authz.Request
				return authz.Decision{Allowed: nobody.HTTP != nil}, nil
			}),
			wantReason: authz.Internal, wantStatus: 500,
		},
		"an allow after the deadline": {
			ctx: expired, verifier: identified(valid, nil), decider: allow,
			wantReason: authz.Timeout, wantStatus: 503,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.ctx == nil {
				tc.ctx = context.Background()
			}
			if tc.req == nil {
				tc.req = get("/orders", nil)
			}
			var recorded records
			checker := authz.Checker{Verifier: tc.verifier, Decider: tc.decider, Recorder: &recorded}
			d := checker.Check(tc.ctx, tc.req)
			if d.Allowed || d.Reason != tc.wantReason || d.Status != tc.wantStatus {
				t.Errorf("allowed %v, reason %q, status %d; want a denial, %q, %d",
					d.Allowed, d.Reason, d.Status, tc.wantReason, tc.wantStatus)
			}
			if strings.Contains(d.Body+headerText(d.Denial), "operator") {
				t.Errorf("the caller was told what is the operator's: %q %v", d.Body, d.Denial)
			}
			if len(recorded) != 1 {
				t.Fatalf("%d records, want 1", len(recorded))
			}
			if diff := cmp.Diff(d, recorded[0].Decision); diff != "" {
				t.Errorf("the record differs from the answer (-answer +record):\n%s", diff)
			}
			if recorded[0].Request != tc.req || recorded[0].ID != d.ID {
				t.Errorf("the record is not of this check: %+v", recorded[0])
			}
		})
	}
}

func headerText(headers []authz.Header) (text string) {
	for _, h := range headers {
		text += h.Value
	}
	return text
}

// What was established before a failure is recorded: a denied check has no less in it (rule 8).
func TestRecordKeepsIdentity(t *testing.T) {
	for name, decider := range map[string]decide{
		"denied": decided(authz.Decision{}, nil),
		"failed": decided(authz.Decision{}, failure(authz.PolicyError)),
		"panicked": func(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
			panic("x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var recorded records
			(&authz.Checker{Verifier: identified(valid, nil), Decider: decider, Recorder: &recorded}).
				Check(context.Background(), get("/", nil))
			if diff := cmp.Diff(valid, recorded[0].Identity); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPanicTextIsNotKept(t *testing.T) {
	var recorded records
	secret := verify(func(context.Context, *authz.Request) (authz.Identity, error) { panic("Bearer s3cr3t") })
	(&authz.Checker{Verifier: secret, Recorder: &recorded}).Check(context.Background(), get("/", nil))
	if text := recorded[0].Err.Error() + recorded[0].Decision.Detail; strings.Contains(text, "s3cr3t") {
		t.Errorf("a panic's text reached the record: %s", text)
	}
}

func TestRecorderThatPanicsDenies(t *testing.T) {
	checker := authz.Checker{
		Verifier: identified(valid, nil), Decider: decided(authz.Decision{Allowed: true}, nil), Recorder: panicking{},
	}
	if d := checker.Check(context.Background(), get("/", nil)); d.Allowed || d.Reason != authz.Internal || d.ID == "" {
		t.Errorf("an unrecorded check was answered with %+v", d)
	}
}

func TestFlagAmbiguousPaths(t *testing.T) {
	var recorded records
	checker := authz.Checker{
		Verifier: identified(missing, nil), Decider: decided(authz.Decision{Allowed: true}, nil),
		Recorder: &recorded, FlagAmbiguousPaths: true,
	}
	if d := checker.Check(context.Background(), get("/a//b", nil)); !d.Allowed {
		t.Errorf("the policy was not asked: %+v", d)
	}
}

func TestChallenge(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		own  []authz.Header
		want []authz.Header
	}{
		"no token": {want: []authz.Header{{Name: "www-authenticate", Value: "Bearer"}}},
		"bad token": {
			err: failure(authz.TokenSignature),
			want: []authz.Header{{Name: "www-authenticate",
				Value: `Bearer error="invalid_token", error_description="the token is invalid"`}},
		},
		"two credentials": {
			err: failure(authz.TokenMultiple),
			want: []authz.Header{{Name: "www-authenticate",
				Value: `Bearer error="invalid_request", error_description="the request carries more than one credential"`}},
		},
		"the policy's own": {
			own:  []authz.Header{{Name: "www-authenticate", Value: `Basic realm="x"`}},
			want: []authz.Header{{Name: "www-authenticate", Value: `Basic realm="x"`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var recorded records
			checker := authz.Checker{
				Verifier: identified(missing, tc.err), Decider: decided(authz.Decision{Denial: tc.own}, nil), Recorder: &recorded,
			}
			if diff := cmp.Diff(tc.want, checker.Check(context.Background(), get("/", nil)).Denial); diff != "" {
				t.Errorf("headers of the denial (-want +got):\n%s", diff)
			}
		})
	}
}

// Every header that a decision can set is overwritten or removed on an allow (rule 5).
func TestUpstream(t *testing.T) {
	header := func(name, value string) authz.Header { return authz.Header{Name: name, Value: value} }
	for name, tc := range map[string]struct {
		headers        authz.Headers
		tokens, policy authz.Mutation
		want           authz.Mutation
	}{
		"claims and the token's place": {
			tokens: authz.Mutation{SetHeaders: []authz.Header{header("x-user", "ann")}, RemoveHeaders: []string{"authorization"}},
			want:   authz.Mutation{SetHeaders: []authz.Header{header("x-user", "ann")}, RemoveHeaders: []string{"authorization"}},
		},
		"the policy's header wins over the token's": {
			tokens: authz.Mutation{SetHeaders: []authz.Header{header("x-user", "ann")}},
			policy: authz.Mutation{SetHeaders: []authz.Header{header("x-user", "robot")}},
			want:   authz.Mutation{SetHeaders: []authz.Header{header("x-user", "robot")}},
		},
		"what the policy sets is not removed": {
			tokens: authz.Mutation{RemoveHeaders: []string{"authorization", "x-user"}},
			policy: authz.Mutation{SetHeaders: []authz.Header{header("authorization", "internal")}},
			want: authz.Mutation{
				SetHeaders: []authz.Header{header("authorization", "internal")}, RemoveHeaders: []string{"x-user"}},
		},
		"what the policy removes is not set": {
			tokens: authz.Mutation{SetHeaders: []authz.Header{header("x-user", "ann")}},
			policy: authz.Mutation{RemoveHeaders: []string{"x-user"}},
			want:   authz.Mutation{RemoveHeaders: []string{"x-user"}},
		},
		"an alias that some servers take for the header": {
			headers: authz.Headers{"x_user": {"forged"}, "x_user-name": {"forged"}, "user_agent": {"curl"}},
			tokens:  authz.Mutation{SetHeaders: []authz.Header{header("x-user", "ann")}, RemoveHeaders: []string{"x-user-name"}},
			want: authz.Mutation{
				SetHeaders:    []authz.Header{header("x-user", "ann")},
				RemoveHeaders: []string{"x-user-name", "x_user", "x_user-name"}},
		},
		"query parameters of both": {
			tokens: authz.Mutation{RemoveQuery: []string{"access_token"}},
			policy: authz.Mutation{RemoveQuery: []string{"debug"}, SetQuery: []authz.Parameter{{Name: "tenant", Value: "a"}}},
			want: authz.Mutation{
				RemoveQuery: []string{"access_token", "debug"}, SetQuery: []authz.Parameter{{Name: "tenant", Value: "a"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var recorded records
			checker := authz.Checker{
				Verifier: identified(authz.Identity{Upstream: tc.tokens}, nil),
				Decider:  decided(authz.Decision{Allowed: true, Upstream: tc.policy}, nil),
				Recorder: &recorded,
			}
			d := checker.Check(context.Background(), get("/", tc.headers))
			if diff := cmp.Diff(tc.want, d.Upstream); diff != "" || !d.Allowed || d.Reason != authz.Allowed {
				t.Errorf("allowed %v, reason %q, upstream (-want +got):\n%s", d.Allowed, d.Reason, diff)
			}
		})
	}
}

// A denial changes nothing upstream, whatever the policy wrote beside it.
func TestDenialChangesNothing(t *testing.T) {
	d := authz.Decision{Upstream: authz.Mutation{SetHeaders: []authz.Header{{Name: "x", Value: "y"}}}, Response: []authz.Header{{Name: "x"}}}
	var recorded records
	got := (&authz.Checker{Verifier: identified(valid, nil), Decider: decided(d, nil), Recorder: authz.Recorders{&recorded, &recorded}}).
		Check(context.Background(), get("/", nil))
	if diff := cmp.Diff(authz.Mutation{}, got.Upstream); diff != "" || got.Response != nil {
		t.Errorf("upstream (-want +got):\n%s\nresponse: %v", diff, got.Response)
	}
	if len(recorded) != 2 {
		t.Errorf("two Recorders got %d records", len(recorded))
	}
}

func TestDecisionID(t *testing.T) {
	var recorded records
	checker := authz.Checker{Verifier: identified(valid, nil), Decider: decided(authz.Decision{}, nil), Recorder: &recorded}
	a, b := checker.Check(context.Background(), get("/", nil)).ID, checker.Check(context.Background(), get("/", nil)).ID
	if uuid4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`); !uuid4.MatchString(a) || a == b {
		t.Errorf("ids %q and %q, want two UUIDs of version 4", a, b)
	}
}

func TestDuration(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var recorded records
	checker := authz.Checker{
		Verifier: identified(valid, nil), Decider: decided(authz.Decision{}, nil), Recorder: &recorded,
		Now: func() time.Time { now = now.Add(time.Millisecond); return now },
	}
	checker.Check(context.Background(), get("/", nil))
	if r := recorded[0]; r.Duration != time.Millisecond || !r.Time.Equal(time.Unix(1_800_000_000, 1_000_000)) {
		t.Errorf("time %v, duration %v", r.Time, r.Duration)
	}
}
