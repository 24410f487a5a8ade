package doctor

import (
	"slices"
	"strings"
	"time"
)

// Needs are what a Sallyport needs of the Envoy that asks it. The zero value is that of one of which
// nothing is known.
type Needs struct {
	Known               bool          // a configuration was read
	MaxBodyBytes        int64         // request.maxBodyBytes
	FlagsAmbiguousPaths bool          // request.ambiguousPaths is flag: they reach the policy
	Timeout             time.Duration // request.timeout
	TokenHeaders        []string      // in which tokens come; nil: authorization
	IdentityHeaders     []string      // that Sallyport sets and removes, in small letters
	Reads               []string      // the parts of input that the policy can read, such as input.parsed_body; nil: not known
}

// reads tells whether the policy reads one of these parts of input.
func (n Needs) reads(parts ...string) bool {
	return slices.ContainsFunc(n.Reads, func(read string) bool {
		return slices.ContainsFunc(parts, func(part string) bool {
			// Who reads all of input.attributes may not mean any part of it.
			above := strings.Count(read, ".") >= 2 && strings.HasPrefix(part, read+".")
			return read == part || above || strings.HasPrefix(read, part+".")
		})
	})
}

const inputHTTP = "input.attributes.request.http"

func (n Needs) readsBody() bool {
	return n.reads("input.parsed_body", inputHTTP+".body", inputHTTP+".raw_body")
}

func (n Needs) readsCertificate() bool { return n.reads("input.attributes.source.certificate") }

func (n Needs) readsPrincipal() bool {
	return n.reads("input.attributes.source.principal", "input.source.principal")
}

// readsHeader tells whether the policy reads a header by its name.
func (n Needs) readsHeader(name string) bool {
	return slices.Contains(n.Reads, inputHTTP+".headers."+name)
}

// headersRead are those that tokens come in, and those that the policy names.
func (n Needs) headersRead() []string {
	names := slices.Clone(n.TokenHeaders)
	if !n.Known {
		names = []string{"authorization"}
	}
	for _, read := range n.Reads {
		if name, ok := strings.CutPrefix(read, inputHTTP+".headers."); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
