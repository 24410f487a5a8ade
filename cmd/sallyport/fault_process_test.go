package main

import (
	"strings"
	"testing"
)

// Of two instances one is killed, and comes back, again and again. With the retry policy of
// deploy/envoy/README.md no request fails.
func TestEnvoyFaultKilled(t *testing.T) {
	t.Parallel()
	s := startSite(t, plan{instances: 2, edits: retrying(t)})
	for n := range 4 {
		i := s.instances[n%2]
		s.during(t, "one of two instances is killed", nil, func() { i.kill(t) })
		s.during(t, "it comes back", nil, func() { i.start(t); s.allHealthy(t) })
	}
}

// retrying gives the filter and its cluster what the page says.
func retrying(t *testing.T) []edit {
	t.Helper()
	const filter, cluster = "envoy_grpc: {cluster_name: sallyport}\n", "  - name: sallyport\n"
	return []edit{{filter, filter + retryPolicy(t)}, {cluster, cluster + "    " + ofPage(t, "circuit_breakers") + "\n"}}
}

// Both instances are restarted, one after the other, as an orchestrator does it. No request fails, and
// no retry policy is needed.
func TestEnvoyFaultRollingRestart(t *testing.T) {
	t.Parallel()
	s := startSite(t, plan{instances: 2, settings: []edit{{"delay: 500ms", "delay: 2s"}}, edits: askingOften()})
	s.allHealthy(t)
	for _, i := range s.instances {
		s.during(t, "one of two instances is restarted", nil, func() {
			t.Logf("ended after %s", i.terminate(t))
			i.start(t)
			s.allHealthy(t)
		})
	}
}

// allHealthy waits until Envoy says so of every instance.
func (s *site) allHealthy(t *testing.T) {
	t.Helper()
	until(t, "every instance is healthy", func() bool {
		text := s.ask(t, "/clusters")
		for _, i := range s.instances {
			if !strings.Contains(text, "sallyport::"+i.grpc.String()+"::health_flags::healthy\n") {
				return false
			}
		}
		return true
	})
}
