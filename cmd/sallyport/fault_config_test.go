package main

import (
	"strings"
	"testing"
)

// The configuration is replaced by a broken one, again and again: the one before stays in force, and
// everything tells of it. A good one is then taken over.
func TestEnvoyFaultConfiguration(t *testing.T) {
	t.Parallel()
	s := startSite(t, plan{})
	i := s.instances[0]
	good := i.configuration(t)
	refused := func() float64 { return i.metric(t, "sallyport_config_reloads_total", "refused") }
	for what, text := range map[string]string{
		"a rule without an issuer":   "jwt: {rules: [{}]}\n",
		"cut in the middle":          good[:len(good)/2] + "{",
		"an unknown setting":         good + "polcy: {}\n",
		"a policy that is not there": strings.Replace(good, "policy:\n", "policy:\n  files: [absent.rego]\n", 1),
		"rubbish":                    "\x00\x01\x02",
	} {
		s.during(t, "configuration: "+what, nil, func() {
			before := refused()
			i.configure(t, text)
			until(t, "the file is refused", func() bool { return refused() > before })
			i.says(t, "/readyz", "trouble: the configuration file is refused")
			i.says(t, "/metrics", "sallyport_config_stale 1")
		})
	}
	s.during(t, "configuration: the good one again", nil, func() {
		i.configure(t, good)
		i.says(t, "/metrics", "sallyport_config_stale 0")
	})
}
