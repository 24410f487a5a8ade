package config_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// A candidate has its defaults, and its files need not be there.
func TestParseCandidate(t *testing.T) {
	cfg, err := config.Parse(filepath.Join("etc", "sallyport.yaml"), []byte("policy: {candidate: {files: [next/], sample: 2.5%, promote: {clients: [release.example.com]}}}"))
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Candidate{
		Files: []string{filepath.Join("etc", "next")}, Sample: 0.025, MaxConcurrent: 1, Timeout: time.Second, QueueChecks: 1024, QueueBytes: 8 << 20,
		Promote: config.Promote{Decisions: 1000, Clients: []string{"release.example.com"}},
	}
	if diff := cmp.Diff(want, cfg.Policy.Candidate); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if text := cfg.Policy.Candidate.Sample.String(); text != "2.5%" {
		t.Errorf("the sample is %s", text)
	}
}

func TestParseCandidateMistakes(t *testing.T) {
	testMistakes(t, []mistakenFile{
		{"in the place of the policy", "policy:\n  candidate:\n    opa:\n      decision_logs: {}\n      bundles:\n        b: {persist: true}\n", []string{
			"4:22: policy.candidate.opa.decision_logs: not for a candidate; it may have services, bundles, keys, labels, caching",
			"6:22: policy.candidate.opa.bundles.b.persist: not for a candidate: it would be kept in the place of the policy that decides"}},
		{"nothing to inherit", "policy:\n  opa: {discovery: {}}\n  candidate: {data: {}}\n", []string{
			"3:14: policy.candidate: needs files or opa: what policy.opa.discovery finds is not taken over"}},
		{"paths and hosts", "policy:\n  candidate: {path: data.a, allowNet: ['a:1'], entrypoints: [{path: a/b}], outputHeaders: [host], sample: 2}\n", []string{
			"2:21: policy.candidate.path: must not begin with data; write a/b/allow for the rule data.a.b.allow",
			"2:40: policy.candidate.allowNet[0]: must be a host name or IPv4 address, without scheme, port and wildcard",
			"2:62: policy.candidate.entrypoints[0]: needs a condition: host, contextExtension or network: true; the rule for every other check is policy.path",
			"2:92: policy.candidate.outputHeaders[0]: must not be host",
			"2:107: policy.candidate.sample: must be a share such as 0.1 or 10%, more than 0 and at most 100%"}},
	})
}
