package lint

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A place is a path under input. A part that begins with "*" is one of whatever is there, a part that
// begins with "?" is looked up by a name that is not known here.
type place []string

func (p place) String() string {
	var text strings.Builder
	text.WriteString("input")
	for _, part := range p {
		switch {
		case strings.HasPrefix(part, "*"):
			text.WriteString("[_]")
		case strings.HasPrefix(part, "?"):
			text.WriteString("[…]")
		case part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "":
			text.WriteString(`["` + part + `"]`)
		case part[0] >= '0' && part[0] <= '9':
			text.WriteString("[" + part + "]")
		default:
			text.WriteString("." + part)
		}
	}
	return text.String()
}

func (p place) key() string { return strings.Join(p, "\x00") + "\x00" }

func placeOf(ref ast.Ref, s *scope) place {
	out := make(place, 0, len(ref)-1)
	for _, part := range ref[1:] {
		out = append(out, partOf(part, s))
	}
	return out
}

func partOf(t *ast.Term, s *scope) string {
	for _, c := range s.values(t) {
		switch v := c.term.Value.(type) {
		case ast.String:
			return string(v)
		case ast.Number:
			return v.String()
		}
	}
	v, ok := t.Value.(ast.Var)
	if !ok {
		return "?" + t.String()
	}
	_, isBound := s.binds[v]
	_, isParam := s.params[v]
	if isBound || isParam {
		return "?" + string(v)
	}
	return "*" + string(v)
}

// always are the places that every HTTP check has; * stands for any name.
var always = []string{
	"version.*", "truncated_body", "path_ambiguous", "parsed_path.0", "parsed_query", "parsed_body",
	"tokens.*.status", "source.address", "source.port",
	"attributes.request.time.seconds",
	"attributes.request.http.id", "attributes.request.http.method", "attributes.request.http.path",
	"attributes.request.http.host", "attributes.request.http.scheme", "attributes.request.http.protocol",
	"attributes.request.http.headers.:method", "attributes.request.http.headers.:path",
	"attributes.request.http.headers.:authority", "attributes.request.http.headers.:scheme",
	"attributes.source.address.socketAddress.address", "attributes.source.address.socketAddress.portValue",
	"attributes.destination.address.socketAddress.address", "attributes.destination.address.socketAddress.portValue",
}

// ofValidToken are the members that only a valid token has, all of which it has.
var ofValidToken = []string{"issuer", "claims.iss", "claims.aud", "claims.exp", "header.alg"}

// isAlways tells whether every HTTP check has a place.
func isAlways(p place) bool {
	return len(p) == 0 || slices.ContainsFunc(always, func(pattern string) bool {
		parts := strings.Split(pattern, ".")
		if len(p) > len(parts) {
			return false
		}
		for i, part := range p {
			if parts[i] != "*" && parts[i] != part {
				return false
			}
		}
		return true
	})
}

// facts are places of which it is known that they are there.
type facts map[string]bool

// add adds a place, and with it all that it lies in.
func (f facts) add(p place) {
	for n := range p {
		f[p[:n+1].key()] = true
	}
}

func (f facts) with(more facts) facts {
	out := make(facts, len(f)+len(more))
	for k := range f {
		out[k] = true
	}
	for k := range more {
		out[k] = true
	}
	return out
}

func (f facts) both(other facts) facts {
	out := facts{}
	for k := range f {
		if other[k] {
			out[k] = true
		}
	}
	return out
}

// lacks tells whether a request may come without a place. One of the items of a list that is there is
// not lacking: where there are none, nothing is said of them.
func (f facts) lacks(p place) bool {
	switch {
	case isAlways(p), f[p.key()]:
		return false
	case strings.HasPrefix(p[len(p)-1], "*"):
		return f.lacks(p[:len(p)-1])
	}
	return true
}

// identifies tells whether the facts say who calls: a token, or a certificate.
func (f facts) identifies() bool {
	for k := range f {
		if isVerified(strings.Split(strings.TrimSuffix(k, "\x00"), "\x00")) {
			return true
		}
	}
	return false
}

// isVerified tells the places that say who calls and that a client cannot choose.
func isVerified(p place) bool {
	text := strings.Join(p, ".")
	switch {
	case len(p) >= 3 && p[0] == "tokens", text == "source_principal":
		return true
	}
	for _, prefix := range []string{"source.principal", "attributes.source.principal", "attributes.source.certificate", "attributes.metadataContext"} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}
