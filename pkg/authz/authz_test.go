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

func (rs *records) Record(_ context.Context, r *authz.Record) error {
	*rs = append(*rs, *r)
	return nil
}

type panicking struct{}

func (panicking) Record(context.Context, *authz.Record) error {
	panics("disk")
	return nil
}

type full struct{}

func (full) Record(context.Context, *authz.Record) error { return failure(authz.Unrecorded) }

func panics(value any) { panic(value) } //nolint:forbidigo // what the Checker must survive

func slot(status authz.TokenStatus) authz.Identity {
	return authz.Identity{Tokens: map[string]authz.Token{"users": {Status: status}}}
}

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
	missing, valid := slot(authz.TokenMissing), slot(authz.TokenValid)
	allow := decided(authz.Decision{Allowed: true}, nil)
	for name, tc := range map[string]struct {
		deadline   time.Time
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
			verifier: verify(func(context.Context, *authz.Request) (authz.Identity, error) { panics("x"); return valid, nil }), decider: allow,
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
				segments := strings.Split("/", "/")
				return authz.Decision{Allowed: segments[len(segments)] == ""}, nil
			}),
			wantReason: authz.Internal, wantStatus: 500,
		},
		"an allow after the deadline": {
			deadline: time.Unix(0, 0), verifier: identified(valid, nil), decider: allow,
			wantReason: authz.Timeout, wantStatus: 503,
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			if !tc.deadline.IsZero() {
				var cancel context.CancelFunc
				ctx, cancel = context.WithDeadline(ctx, tc.deadline)
				defer cancel()
			}
			if tc.req == nil {
				tc.req = get("/orders", nil)
			}
			var recorded records
			checker := authz.Checker{Verifier: tc.verifier, Decider: tc.decider, Recorder: &recorded}
			d := checker.Check(ctx, tc.req)
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
	valid := slot(authz.TokenValid)
	for name, decider := range map[string]decide{
		"denied": decided(authz.Decision{}, nil),
		"failed": decided(authz.Decision{}, failure(authz.PolicyError)),
		"panicked": func(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
			panics("x")
			return authz.Decision{Allowed: true}, nil
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
	secret := verify(func(context.Context, *authz.Request) (authz.Identity, error) {
		panics("Bearer s3cr3t")
		return authz.Identity{}, nil
	})
	(&authz.Checker{Verifier: secret, Recorder: &recorded}).Check(context.Background(), get("/", nil))
	if text := recorded[0].Err.Error() + recorded[0].Decision.Detail; strings.Contains(text, "s3cr3t") {
		t.Errorf("a panic's text reached the record: %s", text)
	}
}

func TestRecorderThatPanicsDenies(t *testing.T) {
	valid := slot(authz.TokenValid)
	checker := authz.Checker{
		Verifier: identified(valid, nil), Decider: decided(authz.Decision{Allowed: true}, nil), Recorder: panicking{},
	}
	if d := checker.Check(context.Background(), get("/", nil)); d.Allowed || d.Reason != authz.Internal || d.ID == "" {
		t.Errorf("an unrecorded check was answered with %+v", d)
	}
}

// A record that must be kept and cannot be denies, and who records after it knows.
func TestRecorderThatFailsDenies(t *testing.T) {
	for name, tc := range map[string]struct {
		recorder   authz.Recorder
		wantReason authz.Reason
		wantStatus int
	}{
		"fails":  {full{}, authz.Unrecorded, 503},
		"panics": {panicking{}, authz.Internal, 500},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after records
			checker := authz.Checker{
				Verifier: identified(slot(authz.TokenValid), nil), Decider: decided(authz.Decision{Allowed: true}, nil),
				Recorder: authz.Recorders{&before, tc.recorder, &after},
			}
			d := checker.Check(context.Background(), get("/", nil))
			if d.Allowed || d.Reason != tc.wantReason || d.Status != tc.wantStatus || d.ID == "" {
				t.Errorf("an unrecorded check was answered with %+v", d)
			}
			if len(before) != 1 || !before[0].Decision.Allowed {
				t.Errorf("recorded before: %+v", before)
			}
			if len(after) != 1 || after[0].Decision.Allowed || after[0].Decision.Reason != tc.wantReason || after[0].Err == nil {
				t.Errorf("recorded after: %+v", after)
			}
		})
	}
}

func TestFlagAmbiguousPaths(t *testing.T) {
	missing := slot(authz.TokenMissing)
	var recorded records
	checker := authz.Checker{
		Verifier: identified(missing, nil), Decider: decided(authz.Decision{Allowed: true}, nil),
		Recorder: &recorded, FlagAmbiguousPaths: true,
	}
	if d := checker.Check(context.Background(), get("/a//b", nil)); !d.Allowed {
		t.Errorf("the policy was not asked: %+v", d)
	}
}

func TestDecisionID(t *testing.T) {
	valid := slot(authz.TokenValid)
	var recorded records
	checker := authz.Checker{Verifier: identified(valid, nil), Decider: decided(authz.Decision{}, nil), Recorder: &recorded}
	a, b := checker.Check(context.Background(), get("/", nil)).ID, checker.Check(context.Background(), get("/", nil)).ID
	if uuid4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`); !uuid4.MatchString(a) || a == b {
		t.Errorf("ids %q and %q, want two UUIDs of version 4", a, b)
	}
}

func TestDuration(t *testing.T) {
	valid := slot(authz.TokenValid)
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
