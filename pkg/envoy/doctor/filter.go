package doctor

import "strings"

// A filter is one of a chain of HTTP or network filters.
type filter struct {
	at          *node
	name        string // by which routes speak of it
	kind        string // such as ext_authz
	config      *node  // its message
	disabled    *node  // disabled: true
	conditional *node  // what decides per request whether it takes part; nil: it does
	unseen      bool   // it comes by discovery, and is not in the file
}

const (
	matcherType   = "envoy.extensions.common.matching.v3.ExtensionWithMatcher"
	compositeType = "envoy.extensions.filters.http.composite.v3.Composite"
	httpAuthz     = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
)

// filters reads a chain.
func (e *examiner) filters(chain *node) []filter {
	var all []filter
	for _, at := range chain.items() {
		all = append(all, e.filter(at))
	}
	return all
}

func (e *examiner) filter(at *node) filter {
	f := filter{at: at, name: at.get("name").string()}
	if at.get("disabled").isTrue() {
		f.disabled = at.get("disabled")
	}
	config := at.get("typed_config")
	if discovered := at.get("config_discovery"); discovered != nil {
		config = e.extensions[f.name]
		if config == nil {
			config, f.unseen = discovered.get("default_config"), true
		}
	}
	f.read(config)
	return f
}

// read looks through what wraps a filter: a matcher that skips it for some requests, and a composite
// that becomes it for some.
func (f *filter) read(config *node) {
	message, name := config.unwrapped()
	for name == matcherType {
		f.conditional = message.oneOf("xds_matcher", "matcher", "extension_config")
		message, name = message.get("extension_config", "typed_config").unwrapped()
	}
	f.kind, f.config = kindOfType(name), message
	if f.kind == "" {
		f.kind = f.name[strings.LastIndexByte(f.name, '.')+1:]
	}
	if name != compositeType {
		return
	}
	config.within(func(n *node) {
		if inner, name := n.unwrapped(); name == httpAuthz {
			f.kind, f.config = "ext_authz", inner
		}
	})
}

// kindOfType is the middle of a message's name: envoy.extensions.filters.http.KIND.v3.Message.
func kindOfType(name string) string {
	for _, before := range []string{".filters.http.", ".filters.network."} {
		if _, rest, ok := strings.Cut(name, before); ok {
			kind, _, _ := strings.Cut(rest, ".")
			return kind
		}
	}
	return ""
}
