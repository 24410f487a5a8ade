package config

import (
	"errors"
	"strconv"
	"time"
)

// Candidate is a policy that is asked about the same requests as the one that decides, beside their
// path, and decides nothing until it is promoted: deploy/candidate.md. One that cannot be loaded does
// not keep this file from being taken over.
type Candidate struct {
	// Files are the candidate's, as in policy.files. Where neither files nor opa is given here, both are
	// those of the policy that decides.
	Files []string `yaml:"files" empty:"ok"`

	// Data is merged under data. Without it, it is that of the policy that decides.
	Data map[string]any `yaml:"data" source:"OPA, data" secret:"yes"`

	// OPA is OPA's own configuration for the candidate's bundles: services, bundles, keys, labels,
	// caching. The candidate reports and keeps nothing: persist is not for it.
	OPA map[string]any `yaml:"opa" source:"OPA, configuration" secret:"yes"`

	// Path is the entrypoint. Without it, it is policy.path.
	Path string `yaml:"path" format:"entrypoint"`

	// Entrypoints are rules that are asked about some of the checks. Without it, they are those of
	// policy.entrypoints.
	Entrypoints []Entrypoint `yaml:"entrypoints" empty:"ok"`

	// OutputHeaders are as in policy.outputHeaders, which are the candidate's without it.
	OutputHeaders []string `yaml:"outputHeaders" format:"output" empty:"ok"`

	// AllowNet is as in policy.capabilities.allowNet, which is not the candidate's: without it, it cannot
	// use the network. With it, every check that is compared calls out a second time.
	AllowNet []string `yaml:"allowNet" format:"dns" empty:"ok"`

	// Sample is the share of the checks that is compared: 0.1 or 10%.
	Sample Share `yaml:"sample"`

	// MaxConcurrent is how many evaluations of the candidate may run at once.
	MaxConcurrent Count `yaml:"maxConcurrent"`

	// Timeout bounds each, beside policy.maxSteps; more than 0s.
	Timeout time.Duration `yaml:"timeout"`

	// QueueChecks is how many checks may wait to be compared. One more is not compared, and counted.
	QueueChecks Count `yaml:"queueChecks"`

	// QueueBytes bounds the memory of the checks that wait: 64KiB, 1MiB or a number of bytes.
	QueueBytes Size `yaml:"queueBytes"`

	// Promote says when the candidate may be let decide, and by whom.
	Promote Promote `yaml:"promote"`
}

// Promote says when the candidate may be let decide, and by whom. Where neither local nor clients is
// given nobody may, but by making it the policy in this file.
type Promote struct {
	// Decisions are how many must have been compared since either policy last changed.
	Decisions Count `yaml:"decisions"`

	// MaxDifferences is how many of them may differ or have failed.
	MaxDifferences Count `yaml:"maxDifferences" empty:"ok"`

	// Local lets everybody promote, and drop, who reaches the admin listener on a loopback address or a
	// Unix socket: every process of the machine, or of the pod.
	Local bool `yaml:"local"`

	// Clients are SPIFFE ids or DNS names of client certificates that listen.adminTLS verifies: who has
	// one may promote, and drop.
	Clients []string `yaml:"clients" format:"client"`
}

// A Share is a part of all, more than 0 and at most 1.
type Share float64

// UnmarshalText reads 0.1 or 10%.
func (s *Share) UnmarshalText(text []byte) error {
	number, of := string(text), 1.0
	if n := len(number); n > 0 && number[n-1] == '%' {
		number, of = number[:n-1], 100
	}
	part, err := strconv.ParseFloat(number, 64)
	if valid := part > 0 && part <= of; err != nil || !valid { // no comparison holds of what is no number
		return errors.New("must be a share such as 0.1 or 10%, more than 0 and at most 100%")
	}
	*s = Share(part / of)
	return nil
}

// String is the share in percent.
func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'g', 6, 64) + "%" }

// fillCandidate gives the candidate its defaults, where there is one.
func (c *Config) fillCandidate() {
	to := c.Policy.Candidate
	if to == nil {
		return
	}
	for name, fill := range map[string]func(){
		"sample":            func() { to.Sample = 1 },
		"maxConcurrent":     func() { to.MaxConcurrent = 1 },
		"timeout":           func() { to.Timeout = time.Second },
		"queueChecks":       func() { to.QueueChecks = 1024 },
		"queueBytes":        func() { to.QueueBytes = 8 << 20 },
		"promote.decisions": func() { to.Promote.Decisions = 1000 },
	} {
		if !c.source.has("policy.candidate." + name) {
			fill()
		}
	}
}
