package telemetry

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/sallyport/sallyport/pkg/authz"
)

// The values of metric attributes that are no reason, rule, issuer or revision.
const (
	outcomeAllowed     = "allowed"
	outcomeDenied      = "denied"
	outcomeUnavailable = "unavailable"

	cacheHit  = "hit"
	cacheMiss = "miss"

	fetchOK     = "ok"
	fetchFailed = "failed"

	loaded      = "loaded"
	loadRefused = "refused"

	other = "other" // a reason that is not in the list, so that nothing can grow it
)

// reasons are those of [authz.Reason].
var reasons = []authz.Reason{
	authz.Allowed, authz.MalformedRequest, authz.PathAmbiguous, authz.RequestTooLarge,
	authz.TokenMultiple, authz.TokenMalformed, authz.TokenUnsupported, authz.TokenIssuerUnknown, authz.TokenKeyUnknown,
	authz.TokenKeysUnavailable, authz.TokenSignature, authz.TokenExpired, authz.TokenNotYetValid, authz.TokenAudience,
	authz.TokenClaims, authz.TokenRequired, authz.TokenBinding, authz.TokenRevoked, authz.TokenRevocationStale,
	authz.PolicyDenied, authz.PolicyUndefined, authz.PolicyConflict, authz.PolicyError, authz.PolicyAnswerInvalid, authz.BodyMalformed,
	authz.Timeout, authz.Internal, authz.NotReady, authz.Overloaded, authz.Unrecorded, other,
}

// buckets are the upper bounds of latencies, in seconds: from a remembered decision to a check that
// waited for an issuer.
var buckets = []float64{10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1}

// metrics counts. Everything that is added to on a check's way is an atomic number, read when metrics
// are collected: an instrument of the SDK costs ten times as much. Only the latencies need the SDK's.
type metrics struct {
	provider *sdkmetric.MeterProvider
	meter    metric.Meter

	inFlight atomic.Int64
	checks   tally
	trials   *trials
	tokens   atomic.Pointer[map[string]*slot] // by rule; the map is never written

	check        metric.Float64Histogram
	verification metric.Float64Histogram
	evaluation   metric.Float64Histogram
	outcomes     map[string][]metric.RecordOption // by outcome
}

// A tally counts by reason. The map is never written.
type tally map[authz.Reason]*atomic.Int64

func newTally() tally {
	t := make(tally, len(reasons))
	for _, reason := range reasons {
		t[reason] = new(atomic.Int64)
	}
	return t
}

func (t tally) add(reason authz.Reason) {
	n := t[reason]
	if n == nil {
		n = t[other]
	}
	n.Add(1)
}

// A slot counts what became of the tokens of a rule.
type slot struct {
	issuer         string
	valid, missing atomic.Int64
	refused        tally
}

func newMetrics(provider *sdkmetric.MeterProvider, cfg Config) (*metrics, error) {
	m := &metrics{
		provider: provider, meter: provider.Meter(scope, metric.WithInstrumentationVersion(cfg.Version)),
		checks: newTally(), trials: newTrials(), outcomes: make(map[string][]metric.RecordOption),
	}
	m.setIssuers(cfg.Issuers)
	for _, outcome := range []string{outcomeAllowed, outcomeDenied, outcomeUnavailable} {
		m.outcomes[outcome] = []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attribute.String(keyOutcome, outcome)))}
	}
	for _, h := range []struct {
		name, what string
		histogram  *metric.Float64Histogram
	}{
		{metricCheckDuration, "Time in Sallyport for a check, from the request read to the decision.", &m.check},
		{metricVerifyDuration, "Time to find and verify the tokens of a request.", &m.verification},
		{metricEvaluateDuration, "Time to evaluate the policy.", &m.evaluation},
		{metricCandidateTime, "Time to evaluate a candidate policy, beside the checks.", &m.trials.duration},
	} {
		var err error
		*h.histogram, err = m.meter.Float64Histogram(h.name, metric.WithUnit("s"), metric.WithDescription(h.what),
			metric.WithExplicitBucketBoundaries(buckets...))
		if err != nil {
			return nil, err
		}
	}
	return m, m.collectChecks()
}

// setIssuers counts from now on for these rules. A rule that is the same goes on from its counts.
func (m *metrics) setIssuers(issuers map[string]string) {
	before := m.tokens.Load()
	next := make(map[string]*slot, len(issuers))
	for rule, issuer := range issuers {
		if before != nil && (*before)[rule] != nil && (*before)[rule].issuer == issuer {
			next[rule] = (*before)[rule]
			continue
		}
		next[rule] = &slot{issuer: issuer, refused: newTally()}
	}
	m.tokens.Store(&next)
}

// Record implements [authz.Recorder].
func (m *metrics) Record(ctx context.Context, record *authz.Record) error {
	reason := record.Decision.Reason
	m.checks.add(reason)
	m.check.Record(ctx, record.Duration.Seconds(), m.outcomes[outcomeOf(reason)]...)
	tokens := *m.tokens.Load()
	for rule, token := range record.Identity.Tokens {
		s := tokens[rule]
		switch {
		case s == nil:
		case token.Status == authz.TokenValid:
			s.valid.Add(1)
		case token.Status == authz.TokenMissing:
			s.missing.Add(1)
		default:
			s.refused.add(reason)
		}
	}
	return nil
}

func outcomeOf(reason authz.Reason) string {
	switch reason {
	case authz.Allowed:
		return outcomeAllowed
	case authz.NotReady, authz.Overloaded:
		return outcomeUnavailable
	}
	return outcomeDenied
}
