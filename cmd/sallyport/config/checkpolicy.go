package config

import (
	"slices"
	"strings"
)

// candidateSections are those of OPA's configuration that a candidate may have.
var candidateSections = []string{"services", "bundles", "keys", "labels", "caching"}

func (c *checker) policy(p *Policy) {
	c.rulePath(p.Path, "policy.path")
	for i := range p.Entrypoints {
		c.entrypoint(&p.Entrypoints[i], index("policy.entrypoints", i))
	}
	for i := range p.Files {
		c.existing(&p.Files[i], index("policy.files", i))
	}
	c.existingFile(&p.ProtoDescriptor, "policy.protoDescriptor")
	if c.has("policy.skipRequestBodyParse") && c.has("policy.protoDescriptor") {
		c.fault("policy.protoDescriptor", "must not be beside skipRequestBodyParse: no body is parsed then")
	}
	c.outputHeaders(p.OutputHeaders, "policy.outputHeaders")
	c.hosts(p.Capabilities.AllowNet, "policy.capabilities.allowNet")
	if from := p.Candidate; from != nil && !c.wrong["policy.candidate"] {
		c.candidate(from)
		if p.OPA["discovery"] != nil && len(from.Files) == 0 && from.OPA == nil {
			c.fault("policy.candidate", "needs files or opa: what policy.opa.discovery finds is not taken over")
		}
	}
}

func (c *checker) hosts(names []string, at string) {
	for i, host := range names {
		c.formatted(host, index(at, i), "dns")
	}
}

// candidate resolves paths, and looks at no file: a candidate that is not there is no reason to refuse
// the rest.
func (c *checker) candidate(p *Candidate) {
	const at = "policy.candidate"
	if c.has(at + ".path") {
		c.rulePath(p.Path, at+".path")
	}
	for i := range p.Entrypoints {
		c.entrypoint(&p.Entrypoints[i], index(at+".entrypoints", i))
	}
	for i := range p.Files {
		p.Files[i] = c.resolve(p.Files[i])
	}
	c.outputHeaders(p.OutputHeaders, at+".outputHeaders")
	c.hosts(p.AllowNet, at+".allowNet")
	c.positive(p.Timeout, at+".timeout")
	for i, client := range p.Promote.Clients {
		c.formatted(client, index(at+".promote.clients", i), "client")
	}
	c.candidateOPA(p.OPA, at+".opa")
}

// candidateOPA lets a candidate fetch, and not report in the place of the policy that decides, or keep
// bundles where that one keeps its own.
func (c *checker) candidateOPA(opa map[string]any, at string) {
	for name := range opa {
		if !slices.Contains(candidateSections, name) {
			c.fault(join(at, name), "not for a candidate; it may have %s", strings.Join(candidateSections, ", "))
		}
	}
	bundles, _ := opa["bundles"].(map[string]any) // of another type: OPA says so
	for name := range bundles {
		if bundle, ok := bundles[name].(map[string]any); ok && bundle["persist"] != nil {
			c.fault(join(join(join(at, "bundles"), name), "persist"), "not for a candidate: it would be kept in the place of the policy that decides")
		}
	}
}

func (c *checker) entrypoint(e *Entrypoint, at string) {
	if c.required(at, *e); c.has(join(at, "path")) {
		c.rulePath(e.Path, join(at, "path"))
	}
	switch {
	case e.Host == "" && len(e.ContextExtension) == 0 && !e.Network:
		c.fault(at, "needs a condition: host, contextExtension or network: true; the rule for every other check is policy.path")
	case e.Host != "" && c.has(join(at, "network")):
		c.fault(join(at, "host"), "must not be beside network: a network check has no host")
	case e.Host != "" && !formats["host"].is(e.Host):
		c.fault(join(at, "host"), "must be %s", formats["host"].Meaning)
	}
	c.outputHeaders(e.OutputHeaders, join(at, "outputHeaders"))
}

func (c *checker) outputHeaders(names []string, at string) {
	for i := range names {
		c.outputHeader(&names[i], index(at, i))
	}
}

func (c *checker) rulePath(path, at string) {
	switch first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/"); {
	case first == "data" || strings.HasPrefix(first, "data."):
		c.fault(at, "must not begin with data; write a/b/allow for the rule data.a.b.allow")
	case !formats["entrypoint"].is(path):
		c.fault(at, "must be %s", formats["entrypoint"].Meaning)
	}
}
