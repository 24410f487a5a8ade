package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Capabilities say what policies may use, in the sense of OPA's capabilities file.
type Capabilities struct {
	// AllowNet are the hosts that http.send and net.lookup_ip_addr may reach, and from which
	// json.match_schema and json.verify_schema may fetch: names or IPv4 addresses as they stand in
	// the URL, without a port. Empty: these builtins do not exist.
	AllowNet []string

	// Builtins are the functions that policies may call; operators are always there. nil allows
	// every one that does not use the network, and those too where AllowNet has hosts.
	Builtins []string
}

// OPA makes OPA's capabilities of them: what an [Engine] compiles with.
func (c Capabilities) OPA() (*ast.Capabilities, error) {
	out := ast.CapabilitiesForThisVersion()
	for i, name := range c.Builtins {
		at := fmt.Sprintf("capabilities.builtins[%d]", i)
		switch {
		case !slices.ContainsFunc(out.Builtins, func(b *ast.Builtin) bool { return b.Name == name }):
			return nil, mistake(at, "there is no builtin %q", name)
		case usesNetwork(name) && len(c.AllowNet) == 0:
			return nil, mistake(at, "%s uses the network and needs capabilities.allowNet", name)
		}
	}
	for i, host := range c.AllowNet {
		if host == "" || strings.ContainsAny(host, ":/*@") {
			return nil, mistake(fmt.Sprintf("capabilities.allowNet[%d]", i), "not a host name or IPv4 address; without scheme, port and wildcard")
		}
	}
	out.Builtins = slices.DeleteFunc(out.Builtins, func(b *ast.Builtin) bool { return !c.allows(b) })
	// Not nil: to OPA, nil is every host.
	out.AllowNet = append([]string{}, c.AllowNet...)
	return out, nil
}

// allows tells whether policies may call a builtin. What the compiler itself puts in, and what is
// written as an operator, belongs to the language.
func (c Capabilities) allows(b *ast.Builtin) bool {
	switch {
	case usesNetwork(b.Name) && len(c.AllowNet) == 0:
		return false
	case c.Builtins == nil, b.Infix != "", strings.HasPrefix(b.Name, "internal."):
		return true
	}
	return slices.Contains(c.Builtins, b.Name)
}

// ForHosts are the same, with other hosts. Without any, no function that uses the network is left.
func (c Capabilities) ForHosts(hosts []string) Capabilities {
	out := Capabilities{AllowNet: hosts, Builtins: c.Builtins}
	if len(hosts) == 0 && c.Builtins != nil {
		out.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), usesNetwork)
	}
	return out
}

func usesNetwork(builtin string) bool {
	return builtin == ast.HTTPSend.Name || builtin == ast.NetLookupIPAddr.Name
}
