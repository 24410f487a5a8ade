package telemetry_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/telemetry"
	"github.com/sallyport/sallyport/pkg/telemetry/telemetrytest"
)

// scraped is what /metrics says of Sallyport, but for latencies and what did not happen.
func scraped(t *testing.T, tel *telemetry.Telemetry) []string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.Metrics().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "sallyport_") && !strings.Contains(line, "_duration_seconds") && !strings.HasSuffix(line, "\"} 0\n") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func record(tel *telemetry.Telemetry, reason authz.Reason, status authz.TokenStatus) {
	tel.Recorders().Record(context.Background(), &authz.Record{
		Duration: 300 * time.Microsecond,
		Request:  &authz.Request{HTTP: &authz.HTTP{Path: authz.Path{Raw: "/secret"}}},
		Identity: authz.Identity{Tokens: map[string]authz.Token{"users": {Status: status}, "unconfigured": {Status: status}}},
		Decision: authz.Decision{Allowed: reason == authz.Allowed, Reason: reason, Detail: "secret"},
	})
}

func TestMetrics(t *testing.T) {
	tel := start(t, telemetry.Config{Prometheus: true, Issuers: map[string]string{"users": "https://issuer.example"}})
	err := tel.Watch(telemetry.Sources{
		TokenCache: func() telemetry.Cache {
			return telemetry.Cache{Hits: 5, Misses: 2, Evictions: 1, Entries: 3, Bytes: 4096}
		},
		Keys: func() []telemetry.Keys {
			return []telemetry.Keys{{Issuer: "https://issuer.example", Keys: 2, Age: 90 * time.Second, Fetched: 7, Failed: 1}}
		},
		Policy:      func() telemetry.Policy { return telemetry.Policy{Revision: "r2", Loaded: 2, Refused: 1} },
		PolicyCache: func() telemetry.Cache { return telemetry.Cache{Hits: 50, Misses: 20, Evictions: 10, Bytes: 8192} },
		Dropped:     func() uint64 { return 4 },
		Shed:        func() uint64 { return 6 },
		Config:      func() telemetry.Configuration { return telemetry.Configuration{Loaded: 8, Refused: 9, Stale: true} },
		Candidate:   func() telemetry.Candidate { return telemetry.Candidate{State: "comparing", Revision: "r3"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	record(tel, authz.Allowed, authz.TokenValid)
	record(tel, authz.Allowed, authz.TokenValid)
	record(tel, authz.TokenExpired, authz.TokenInvalid)
	record(tel, authz.PolicyDenied, authz.TokenMissing)
	record(tel, authz.NotReady, authz.TokenValid)
	record(tel, "made up", authz.TokenMissing)
	failed := authz.Comparison{Difference: authz.Difference{Verdict: authz.NewlyDenied}, Candidate: authz.Decision{Reason: authz.PolicyError}}
	tel.Compared(&failed)
	tel.Compared(&authz.Comparison{Difference: authz.Difference{Verdict: authz.NewlyAllowed}})
	tel.Compared(&authz.Comparison{Difference: authz.Difference{Verdict: authz.NewlyAllowed}})
	tel.NotCompared()
	want := []string{
		`sallyport_candidate_comparisons_total{sallyport_candidate_verdict="newly_allowed"} 2`,
		`sallyport_candidate_comparisons_total{sallyport_candidate_verdict="newly_denied"} 1`,
		`sallyport_candidate_dropped_total 1`,
		`sallyport_candidate_failures_total{sallyport_decision_reason="policy_error"} 1`,
		`sallyport_candidate_info{sallyport_candidate_state="comparing",sallyport_policy_revision="r3"} 1`,
		`sallyport_checks_in_flight 0`,
		`sallyport_checks_shed_total 6`,
		`sallyport_checks_total{sallyport_decision_outcome="allowed",sallyport_decision_reason="allowed"} 2`,
		`sallyport_checks_total{sallyport_decision_outcome="denied",sallyport_decision_reason="other"} 1`,
		`sallyport_checks_total{sallyport_decision_outcome="denied",sallyport_decision_reason="policy_denied"} 1`,
		`sallyport_checks_total{sallyport_decision_outcome="denied",sallyport_decision_reason="token_expired"} 1`,
		`sallyport_checks_total{sallyport_decision_outcome="unavailable",sallyport_decision_reason="not_ready"} 1`,
		`sallyport_config_reloads_total{sallyport_config_reload_outcome="loaded"} 8`,
		`sallyport_config_reloads_total{sallyport_config_reload_outcome="refused"} 9`,
		`sallyport_config_stale 1`,
		`sallyport_decision_log_dropped_total 4`,
		`sallyport_jwks_age_seconds{sallyport_token_issuer="https://issuer.example"} 90`,
		`sallyport_jwks_fetches_total{sallyport_jwks_outcome="failed",sallyport_token_issuer="https://issuer.example"} 1`,
		`sallyport_jwks_fetches_total{sallyport_jwks_outcome="ok",sallyport_token_issuer="https://issuer.example"} 7`,
		`sallyport_jwks_keys{sallyport_token_issuer="https://issuer.example"} 2`,
		`sallyport_policy_cache_evictions_total 10`,
		`sallyport_policy_cache_lookups_total{sallyport_cache_result="hit"} 50`,
		`sallyport_policy_cache_lookups_total{sallyport_cache_result="miss"} 20`,
		`sallyport_policy_cache_size_bytes 8192`,
		`sallyport_policy_info{sallyport_policy_revision="r2"} 1`,
		`sallyport_policy_loads_total{sallyport_policy_load_outcome="loaded"} 2`,
		`sallyport_policy_loads_total{sallyport_policy_load_outcome="refused"} 1`,
		`sallyport_token_cache_entries 3`,
		`sallyport_token_cache_evictions_total 1`,
		`sallyport_token_cache_lookups_total{sallyport_cache_result="hit"} 5`,
		`sallyport_token_cache_lookups_total{sallyport_cache_result="miss"} 2`,
		`sallyport_token_cache_size_bytes 4096`,
		`sallyport_token_verifications_total{sallyport_token_issuer="https://issuer.example",sallyport_token_outcome="missing",sallyport_token_rule="users"} 2`,
		`sallyport_token_verifications_total{sallyport_token_issuer="https://issuer.example",sallyport_token_outcome="token_expired",sallyport_token_rule="users"} 1`,
		`sallyport_token_verifications_total{sallyport_token_issuer="https://issuer.example",sallyport_token_outcome="valid",sallyport_token_rule="users"} 3`,
	}
	if diff := cmp.Diff(want, scraped(t, tel)); diff != "" {
		t.Errorf("/metrics (-want +got):\n%s", diff)
	}
}

// TestSetIssuers: other rules are counted under their names, and those that stay go on counting.
func TestSetIssuers(t *testing.T) {
	tel := start(t, telemetry.Config{Prometheus: true, Issuers: map[string]string{"users": "https://a", "gone": "https://b"}})
	valid := func(rules ...string) {
		tokens := make(map[string]authz.Token)
		for _, rule := range rules {
			tokens[rule] = authz.Token{Status: authz.TokenValid}
		}
		tel.Recorders().Record(context.Background(), &authz.Record{Identity: authz.Identity{Tokens: tokens}})
	}
	valid("users", "gone")
	tel.SetIssuers(map[string]string{"users": "https://a", "new": "https://c"})
	valid("users", "gone", "new")
	tel.SetIssuers(map[string]string{"users": "https://moved", "new": "https://c"})
	valid("new")
	valid("users", "new")
	var got []string
	for _, line := range scraped(t, tel) {
		if strings.Contains(line, "_verifications_total") {
			got = append(got, strings.TrimPrefix(line, "sallyport_token_verifications_total"))
		}
	}
	want := []string{
		`{sallyport_token_issuer="https://c",sallyport_token_outcome="valid",sallyport_token_rule="new"} 3`,
		`{sallyport_token_issuer="https://moved",sallyport_token_outcome="valid",sallyport_token_rule="users"} 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestEveryReason holds the list of reasons against pkg/authz: a new one must not be "other".
func TestEveryReason(t *testing.T) {
	tel := start(t, telemetry.Config{Prometheus: true})
	all := constants(t, "../authz/reason.go")
	if len(all) < 20 {
		t.Fatalf("only %d reasons found", len(all))
	}
	for _, reason := range all {
		record(tel, authz.Reason(reason), authz.TokenMissing)
	}
	lines := scraped(t, tel)
	for _, reason := range all {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, `reason="`+reason+`"} 1`) }) {
			t.Errorf("%s is not counted under its name", reason)
		}
	}
}

func TestInFlight(t *testing.T) {
	c := newCheck(t, telemetry.Config{Prometheus: true})
	during := scrapeDuring(t, c)
	if !slices.Contains(during, "sallyport_checks_in_flight 1") {
		t.Errorf("during a check: %v", during)
	}
	if after := scraped(t, c.telemetry); !slices.Contains(after, "sallyport_checks_in_flight 0") {
		t.Errorf("after it: %v", after)
	}
}

func scrapeDuring(t *testing.T, c *check) (lines []string) {
	c.within = func() { lines = scraped(t, c.telemetry) }
	c.run(t.Context())
	c.within = nil
	return lines
}

// TestNativeHistograms: who asks for Prometheus's binary format gets latencies with buckets that are
// native histograms too, and the two agree.
func TestNativeHistograms(t *testing.T) {
	c := newCheck(t, telemetry.Config{Prometheus: true})
	const checks = 1000
	for range checks {
		c.run(t.Context())
	}
	req := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	w := httptest.NewRecorder()
	c.telemetry.Metrics().ServeHTTP(w, req)
	seen := 0
	for reader := bufio.NewReader(w.Body); ; {
		var family dto.MetricFamily
		if err := protodelim.UnmarshalFrom(reader, &family); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(family.GetName(), "_duration_seconds") || !strings.HasPrefix(family.GetName(), "sallyport_") {
			continue
		}
		seen++
		for _, m := range family.GetMetric() {
			agree(t, family.GetName(), m.GetHistogram(), checks)
		}
	}
	if seen != 3 {
		t.Errorf("%d latencies, want 3", seen)
	}
}

func agree(t *testing.T, name string, h *dto.Histogram, want uint64) {
	t.Helper()
	var native, last int64 // the native buckets are deltas of deltas
	native = int64(h.GetZeroCount())
	for _, delta := range h.GetPositiveDelta() {
		last += delta
		native += last
	}
	buckets := h.GetBucket()
	if len(buckets) != 16 || h.GetSampleCount() != want || buckets[15].GetCumulativeCount() != want || native != int64(want) || h.GetSampleSum() <= 0 {
		t.Errorf("%s: %d of %d are in %d buckets, %d in native ones", name, h.GetSampleCount(), want, len(buckets), native)
	}
	if buckets[0].GetUpperBound() != 10e-6 || buckets[15].GetUpperBound() != 1 {
		t.Errorf("%s: buckets from %v to %v", name, buckets[0].GetUpperBound(), buckets[15].GetUpperBound())
	}
}

// TestMetricsOverOTLP has the names of OpenTelemetry, and exponential histograms where it is asked
// for them.
func TestMetricsOverOTLP(t *testing.T) {
	for aggregation, want := range map[string]bool{"": false, "base2_exponential_bucket_histogram": true} {
		t.Run(aggregation, func(t *testing.T) {
			r := receive(t, "")
			t.Setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", aggregation)
			c := newCheck(t, telemetry.Config{})
			c.run(t.Context())
			if err := c.telemetry.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			kept := r.Kept()
			for _, name := range []string{"sallyport.check.duration", "sallyport.token.verification.duration", "sallyport.policy.evaluation.duration"} {
				if got := metric(t, kept, name).GetExponentialHistogram() != nil; got != want {
					t.Errorf("%s: exponential %v, want %v", name, got, want)
				}
			}
			for _, point := range metric(t, kept, "sallyport.checks").GetSum().GetDataPoints() {
				reason := telemetrytest.Attribute(point.GetAttributes(), "sallyport.decision.reason").GetStringValue()
				if (point.GetAsInt() == 1) != (reason == "allowed") {
					t.Errorf("checks: %v", point)
				}
			}
			metric(t, kept, "go.memory.used")
		})
	}
}

func metric(t *testing.T, kept telemetrytest.Kept, name string) *metricspb.Metric {
	t.Helper()
	i := slices.IndexFunc(kept.Metrics, func(m *metricspb.Metric) bool { return m.GetName() == name })
	if i < 0 {
		t.Fatalf("there is no %s", name)
	}
	return kept.Metrics[i]
}
