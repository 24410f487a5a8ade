package main

import (
	"testing"
)

// Of two instances one is killed, and comes back, again and again. With the retry policy of
// deploy/envoy/README.md no request fails.
func TestEnvoyFaultKilled(t *testing.T) {
	t.Parallel()
	s := startSite(t, plan{instances: 2, edits: []edit{retrying(t)}})
	for n := range 4 {
		i := s.instances[n%2]
		s.during(t, "one of two instances is killed", nil, func() { i.kill(t) })
		s.during(t, "it comes back", nil, func() { i.start(t) })
	}
}

// retrying gives the filter the retry policy of the page.
func retrying(t *testing.T) edit {
	t.Helper()
	const cluster = "envoy_grpc: {cluster_name: sallyport}\n"
	return edit{cluster, cluster + retryPolicy(t)}
}

// Both instances are restarted, one after the other, as an orchestrator does it. No request fails, and
// no retry policy is needed.
func TestEnvoyFaultRollingRestart(t *testing.T) {
	t.Parallel()
	s := startSite(t, plan{instances: 2, edits: askingOften()})
	for _, i := range s.instances {
		s.during(t, "one of two instances is restarted", nil, func() {
			t.Logf("ended after %s", i.terminate(t))
			i.start(t)
			s.awaitHealth(t, "healthy")
		})
	}
}
