package telemetry

import (
	"context"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/sallyport/sallyport/pkg/authz"
)

// verdicts are those of [authz.Verdict].
var verdicts = []authz.Verdict{authz.NewlyAllowed, authz.NewlyDenied, authz.Changed, authz.Same}

// A Candidate is the policy on trial.
type Candidate struct {
	State    string // of a closed list; "": there is none
	Revision string // "": it has none yet
}

// trials count what candidates would have decided, over all candidates of the process.
type trials struct {
	verdicts map[authz.Verdict]*atomic.Int64 // never written
	failures tally
	dropped  atomic.Int64
	duration metric.Float64Histogram
}

func newTrials() *trials {
	t := &trials{verdicts: make(map[authz.Verdict]*atomic.Int64, len(verdicts)), failures: newTally()}
	for _, verdict := range verdicts {
		t.verdicts[verdict] = new(atomic.Int64)
	}
	return t
}

// Compared counts a comparison of a candidate.
func (t *Telemetry) Compared(c *authz.Comparison) {
	if t.metrics == nil {
		return
	}
	trials := t.metrics.trials
	trials.verdicts[c.Difference.Verdict].Add(1)
	if c.Failed() {
		trials.failures.add(c.Candidate.Reason)
	}
	trials.duration.Record(context.Background(), c.Duration.Seconds())
}

// NotCompared counts a check that was to be compared and was not.
func (t *Telemetry) NotCompared() {
	if t.metrics != nil {
		t.metrics.trials.dropped.Add(1)
	}
}

// collect has the trials read when metrics are collected.
func (t *trials) collect(c *collector) {
	c.counter(metricCompared, "{check}", "Checks that a candidate policy was asked about, by how it differs.", func(o observe) {
		for verdict, n := range t.verdicts { // 0 too: of a count that begins with 1, Prometheus takes no increase
			o(n.Load(), attribute.String(keyVerdict, string(verdict)))
		}
	})
	c.counter(metricCandidateFails, "{check}", "Checks at which a candidate policy failed.", func(o observe) {
		for reason, n := range t.failures {
			if n := n.Load(); n > 0 {
				o(n, attribute.String(keyReason, string(reason)))
			}
		}
	})
	c.counter(metricNotCompared, "{check}", "Checks that a candidate policy was to be asked about, and for which there was no room or time.", func(o observe) {
		o(t.dropped.Load())
	})
}

func (c *collector) candidate(read func() Candidate) {
	c.gauge(metricCandidateInfo, "", "What becomes of the candidate policy; always 1, nothing without one.", func(o observe) {
		if now := read(); now.State != "" {
			o(1, attribute.String(keyCandidateState, now.State), attribute.String(keyRevision, now.Revision))
		}
	})
}
