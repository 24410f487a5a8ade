package main

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/shadow"
)

// candidateConfig is the policy on trial: what it does not say is that of the policy that decides.
func candidateConfig(cfg *config.Config, logger *slog.Logger) policy.Config {
	whole, from := *cfg, cfg.Policy.Candidate
	p := &whole.Policy
	if len(from.Files) > 0 || from.OPA != nil {
		p.Files, p.OPA = from.Files, from.OPA
	} else {
		p.OPA = fetching(p.OPA)
	}
	if from.Data != nil {
		p.Data = from.Data
	}
	p.Path = cmp.Or(from.Path, p.Path)
	if from.Entrypoints != nil {
		p.Entrypoints = from.Entrypoints
	}
	if from.OutputHeaders != nil {
		p.OutputHeaders = from.OutputHeaders
	}
	out := policyConfig(&whole, logger)
	out.Capabilities = out.Capabilities.ForHosts(from.AllowNet)
	out.Recording = recording(cfg)
	return out
}

// fetching is the part of OPA's configuration that fetches bundles, and keeps and reports nothing; nil
// where it fetches none.
func fetching(opa map[string]any) map[string]any {
	bundles, ok := opa["bundles"].(map[string]any)
	if !ok {
		return nil
	}
	bundles = maps.Clone(bundles)
	for name, of := range bundles {
		if bundle, ok := of.(map[string]any); ok {
			bundle = maps.Clone(bundle)
			delete(bundle, "persist")
			bundles[name] = bundle
		}
	}
	out := map[string]any{"bundles": bundles}
	for _, name := range []string{"services", "keys", "labels", "caching"} {
		if opa[name] != nil {
			out[name] = opa[name]
		}
	}
	return out
}

// trying are the settings that a trial is of: it begins anew where one of them is another one.
func trying(cfg *config.Config) any {
	return struct {
		live      any
		candidate *config.Candidate
		challenge authz.Challenge
	}{evaluating(cfg), cfg.Policy.Candidate, challenge(cfg)}
}

// newShadow compares an engine with the policy that decides.
func (l *line) newShadow(cfg *config.Config, live, engine *policy.Engine) *shadow.Shadow {
	from := cfg.Policy.Candidate
	return shadow.New(shadow.Config{
		Decide:    engine.DecideAt,
		Revisions: func() (string, string) { return live.Revision(), engine.Revision() },
		Compared:  l.compared,
		Dropped:   l.watched.NotCompared,
		Pressure:  func() uint64 { return l.server.Shed() }, // there are checks, so there is a server
		Challenge: challenge(cfg),
		Share:     float64(from.Sample), Workers: int(from.MaxConcurrent), Timeout: from.Timeout,
		MaxChecks: int(from.QueueChecks), MaxBytes: int64(from.QueueBytes),
	})
}

// compared counts a comparison, and tells who wants to know what is unlike.
func (l *line) compared(c *authz.Comparison) {
	l.watched.Compared(c)
	if !c.Unlike() {
		return
	}
	if log := l.stages().log.log; log != nil {
		log.Difference(c)
	}
	if l.inspection != nil {
		l.inspection.Differs(c)
	}
}

// candidateToDo says what makes the file say what a promoted candidate decides by.
func candidateToDo(cfg *config.Config) string {
	p, from := &cfg.Policy, cfg.Policy.Candidate
	var moves, takes []string
	for name, said := range map[string]bool{
		"files": len(from.Files) > 0, "data": from.Data != nil, "opa": from.OPA != nil, "path": from.Path != "",
		"entrypoints": from.Entrypoints != nil, "outputHeaders": from.OutputHeaders != nil,
	} {
		if said {
			moves = append(moves, name)
		}
	}
	slices.Sort(moves)
	text := "in the configuration file, move " + strings.Join(moves, ", ") + " from policy.candidate to policy"
	if len(from.AllowNet) > 0 {
		text += ", make policy.candidate.allowNet policy.capabilities.allowNet"
	}
	if len(from.Files) > 0 && p.OPA["bundles"] != nil && from.OPA["bundles"] == nil {
		takes = append(takes, "policy.opa.bundles")
	}
	if from.OPA != nil && len(p.Files) > 0 && len(from.Files) == 0 {
		takes = append(takes, "policy.files")
	}
	return text + ", and take away " + strings.Join(append(takes, "policy.candidate"), " and ")
}
