package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Sources tell what the stages count themselves. Each is asked when metrics are collected, which
// may be at once from several readers; a nil one is not there.
type Sources struct {
	Shed        func() uint64 // checks that were turned away before they were read
	TokenCache  func() Cache
	Keys        func() []Keys
	Policy      func() Policy
	PolicyCache func() Cache
	Dropped     func() uint64 // records that the decision log dropped
	Config      func() Configuration
	Candidate   func() Candidate
}

// A Configuration is what became of changes of the configuration's file.
type Configuration struct {
	Loaded  uint64
	Refused uint64
	Stale   bool // the file is refused as it is, and the one before is in force
}

// A Cache is what a cache counts.
type Cache struct {
	Hits, Misses, Evictions uint64

	Entries int
	Bytes   int
}

// Keys are those of an issuer.
type Keys struct {
	Issuer  string // of the configuration
	Keys    int
	Age     time.Duration
	Fetched uint64
	Failed  uint64
}

// A Policy is the one that decides, and how it got there.
type Policy struct {
	Revision string // "": there is none yet
	Loaded   uint64
	Refused  uint64
}

// Watch collects from the sources. Without metrics it does nothing.
func (t *Telemetry) Watch(s Sources) error {
	if t.metrics == nil {
		return nil
	}
	return t.metrics.watch(s)
}

func (m *metrics) watch(s Sources) error {
	c := collector{meter: m.meter}
	if s.Shed != nil {
		c.counter(metricShed, "{check}", "Checks that were turned away unread, for there was too much to do.", func(o observe) { o(counted(s.Shed())) })
	}
	if s.TokenCache != nil {
		c.cache(s.TokenCache, cacheNames{"verified-token cache", metricTokenLookups, metricTokenEvictions, metricTokenBytes})
		c.gauge(metricTokenEntries, "{token}", "Tokens in the verified-token cache.", func(o observe) {
			o(int64(s.TokenCache().Entries))
		})
	}
	if s.Keys != nil {
		c.keys(s.Keys)
	}
	if s.Policy != nil {
		c.policy(s.Policy)
	}
	if s.PolicyCache != nil {
		c.cache(s.PolicyCache, cacheNames{"decision memo", metricPolicyLookups, metricPolicyEvictions, metricPolicyBytes})
	}
	if s.Dropped != nil {
		c.counter(metricDropped, "{record}", "Records that the decision log dropped.", func(o observe) { o(counted(s.Dropped())) })
	}
	if s.Config != nil {
		c.config(s.Config)
	}
	if s.Candidate != nil {
		c.candidate(s.Candidate)
	}
	return c.err
}

// collectChecks collects what the metrics count themselves.
func (m *metrics) collectChecks() error {
	c := collector{meter: m.meter}
	c.gauge(metricInFlight, "{check}", "Checks that are being answered now.", func(o observe) { o(m.inFlight.Load()) })
	c.counter(metricChecks, "{check}", "Checks that were answered.", func(o observe) {
		for reason, n := range m.checks { // 0 too: of a count that begins with 1, Prometheus takes no increase
			o(n.Load(), attribute.String(keyOutcome, outcomeOf(reason)), attribute.String(keyReason, string(reason)))
		}
	})
	c.counter(metricVerifications, "{token}", "What the first door found for each token rule.", func(o observe) {
		for rule, s := range *m.tokens.Load() {
			s.collect(rule, o)
		}
	})
	m.trials.collect(&c)
	return c.err
}

func (s *slot) collect(rule string, o observe) {
	of := func(n int64, outcome string) {
		if n > 0 {
			o(n, attribute.String(keyTokenRule, rule), attribute.String(keyTokenIssuer, s.issuer), attribute.String(keyTokenOutcome, outcome))
		}
	}
	of(s.valid.Load(), string(authz.TokenValid))
	of(s.missing.Load(), string(authz.TokenMissing))
	for reason, n := range s.refused {
		of(n.Load(), string(reason))
	}
}

// A collector makes instruments that are read when metrics are collected. Its first error stays.
type collector struct {
	meter metric.Meter
	err   error
}

// observe hands a number over.
type observe func(n int64, attributes ...attribute.KeyValue)

func callback(read func(observe)) metric.Int64Callback {
	return func(_ context.Context, to metric.Int64Observer) error {
		read(func(n int64, attributes ...attribute.KeyValue) { to.Observe(n, metric.WithAttributes(attributes...)) })
		return nil
	}
}

func (c *collector) counter(name, unit, what string, read func(observe)) {
	_, err := c.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(what), metric.WithInt64Callback(callback(read)))
	c.note(err)
}

func (c *collector) gauge(name, unit, what string, read func(observe)) {
	_, err := c.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(what), metric.WithInt64Callback(callback(read)))
	c.note(err)
}

func (c *collector) note(err error) {
	if c.err == nil {
		c.err = err
	}
}

// cacheNames are what a cache is called.
type cacheNames struct{ what, lookups, evictions, bytes string }

func (c *collector) cache(read func() Cache, names cacheNames) {
	c.counter(names.lookups, "{lookup}", "Lookups in the "+names.what+".", func(o observe) {
		now := read()
		o(counted(now.Hits), attribute.String(keyCacheResult, cacheHit))
		o(counted(now.Misses), attribute.String(keyCacheResult, cacheMiss))
	})
	c.counter(names.evictions, "{entry}", "Entries that made room in the "+names.what+".", func(o observe) { o(counted(read().Evictions)) })
	c.gauge(names.bytes, "By", "Memory of the "+names.what+", an estimate from above.", func(o observe) { o(int64(read().Bytes)) })
}

func (c *collector) keys(read func() []Keys) {
	c.gauge(metricKeys, "{key}", "Keys of an issuer that may be used.", func(o observe) {
		for _, k := range read() {
			o(int64(k.Keys), attribute.String(keyTokenIssuer, k.Issuer))
		}
	})
	c.counter(metricKeysFetches, "{fetch}", "Fetches of an issuer's keys.", func(o observe) {
		for _, k := range read() {
			issuer := attribute.String(keyTokenIssuer, k.Issuer)
			o(counted(k.Fetched), issuer, attribute.String(keyFetchOutcome, fetchOK))
			o(counted(k.Failed), issuer, attribute.String(keyFetchOutcome, fetchFailed))
		}
	})
	_, err := c.meter.Float64ObservableGauge(metricKeysAge, metric.WithUnit("s"),
		metric.WithDescription("Time since the issuer last stood by its keys; 0 where they cannot change or are not there."),
		metric.WithFloat64Callback(func(_ context.Context, to metric.Float64Observer) error {
			for _, k := range read() {
				to.Observe(k.Age.Seconds(), metric.WithAttributes(attribute.String(keyTokenIssuer, k.Issuer)))
			}
			return nil
		}))
	c.note(err)
}

func (c *collector) policy(read func() Policy) {
	c.gauge(metricPolicyInfo, "", "The revision of the policy that decides; always 1, nothing before the first policy.", func(o observe) {
		if revision := read().Revision; revision != "" {
			o(1, attribute.String(keyRevision, revision))
		}
	})
	c.counter(metricPolicyLoads, "{load}", "Policies that came, and took the place of the one before or were refused.", func(o observe) {
		now := read()
		o(counted(now.Loaded), attribute.String(keyLoadOutcome, loaded))
		o(counted(now.Refused), attribute.String(keyLoadOutcome, loadRefused))
	})
}

func (c *collector) config(read func() Configuration) {
	c.counter(metricReloads, "{load}", "Changes of the configuration file, taken over or refused.", func(o observe) {
		now := read()
		o(counted(now.Loaded), attribute.String(keyReloadResult, loaded))
		o(counted(now.Refused), attribute.String(keyReloadResult, loadRefused))
	})
	c.gauge(metricStale, "", "1 while the configuration file is refused and the one before is in force.", func(o observe) {
		if read().Stale {
			o(1)
			return
		}
		o(0)
	})
}

// counted is a count as an instrument takes it. None comes near the bound.
func counted(n uint64) int64 { return int64(n & (1<<63 - 1)) }
