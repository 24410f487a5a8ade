package config

import "strings"

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
	for i, host := range p.Capabilities.AllowNet {
		if host != "" && !formats["dns"].is(host) {
			c.fault(index("policy.capabilities.allowNet", i), "must be %s", formats["dns"].Meaning)
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
