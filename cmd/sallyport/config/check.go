package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A checker finds what the types of a [Config] cannot say. It also makes names and paths uniform:
// header names lower-case, and paths relative to dir, the directory of the configuration file.
type checker struct {
	*source
	dir string
}

func (c *checker) config(cfg *Config) {
	c.listen(&cfg.Listen)
	c.request(&cfg.Request)
	c.jwt(&cfg.JWT)
	c.policy(&cfg.Policy)
	if cfg.DecisionLog.File != "" {
		c.newFile(&cfg.DecisionLog.File, "decisionLog.file")
	}
}

func (c *checker) listen(l *Listen) {
	if l.TLS != nil && !c.wrong["listen.tls"] {
		c.tls(l.TLS)
	}
	mutual := l.TLS != nil && c.has("listen.tls.clientCAFile")
	if !l.GRPC.local() && !mutual && !l.Insecure {
		c.fault("listen.grpc", "other machines can reach this address, and anyone there could ask; "+
			"set listen.tls with a clientCAFile, listen on loopback or a Unix socket, or accept it with listen.insecure: true")
	}
	if l.Admin == l.GRPC && !strings.HasSuffix(l.Admin.Address, ":0") {
		c.fault("listen.admin", "the same address as listen.grpc")
	}
}

func (c *checker) tls(t *TLS) {
	c.required("listen.tls", "certFile", "keyFile")
	c.existingFile(&t.CertFile, "listen.tls.certFile")
	c.existingFile(&t.KeyFile, "listen.tls.keyFile")
	c.existingFile(&t.ClientCAFile, "listen.tls.clientCAFile")
	if c.has("listen.tls.allowedClients") && !c.has("listen.tls.clientCAFile") {
		c.fault("listen.tls.allowedClients", "needs clientCAFile: without it no client presents a certificate")
	}
	for i, client := range t.AllowedClients {
		if client != "" && !isSPIFFE(client) && !isDNS(client) {
			c.fault(index("listen.tls.allowedClients", i), "must be a SPIFFE id or a DNS name")
		}
	}
}

// isSPIFFE follows SPIFFE-ID, section 2.
func isSPIFFE(id string) bool {
	return len(id) <= 2048 && regexp.MustCompile(`^spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*$`).MatchString(id)
}

func isDNS(name string) bool {
	label := `[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`
	return len(name) <= 253 && regexp.MustCompile(`^`+label+`(\.`+label+`)*$`).MatchString(name)
}

func (c *checker) request(r *Request) {
	if r.Timeout <= 0 {
		c.fault("request.timeout", "must be more than 0")
	}
}

func (c *checker) policy(p *Policy) {
	switch segment := regexp.MustCompile(`^[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+)*$`); {
	case p.Path == "data" || strings.HasPrefix(p.Path, "data.") || strings.HasPrefix(p.Path, "data/"):
		c.fault("policy.path", "must not begin with data; write a/b/allow for the rule data.a.b.allow")
	case !segment.MatchString(p.Path):
		c.fault("policy.path", "must be a rule's path such as envoy/authz/allow")
	}
	for i := range p.Files {
		c.existing(&p.Files[i], index("policy.files", i))
	}
	for i := range p.OutputHeaders {
		c.outputHeader(&p.OutputHeaders[i], index("policy.outputHeaders", i))
	}
}

// required misses the settings that are not in the file.
func (c *checker) required(path string, names ...string) {
	for _, name := range names {
		if !c.has(join(path, name)) {
			c.fault(join(path, name), "required")
		}
	}
}

// header checks a header's name (RFC 9110, section 5.1) and makes it lower-case.
func (c *checker) header(name *string, path string) {
	switch {
	case *name == "":
	case strings.HasPrefix(*name, ":"):
		c.fault(path, "must not be a pseudo-header")
	case !isToken(*name):
		c.fault(path, "must be a header name")
	case strings.EqualFold(*name, "host"):
		c.fault(path, "must not be host")
	}
	*name = strings.ToLower(*name)
}

// outputHeader is header for one that goes upstream. Those that frame or route the request are Envoy's.
func (c *checker) outputHeader(name *string, path string) {
	c.header(name, path)
	framing := []string{"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
	if slices.Contains(framing, *name) {
		c.fault(path, "must not be a header that frames the request")
	}
}

// isToken follows RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$").MatchString(s)
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
