package token

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
)

// hide takes out of the request the tokens that are not to be passed on, wherever they stand.
func hide(http *authz.HTTP, sightings []sighting, m *authz.Mutation) {
	var hidden []string
	for _, s := range sightings {
		switch {
		case s.rule.forward:
		case s.place.kind == inHeader:
			m.RemoveHeaders = append(m.RemoveHeaders, s.place.name)
		case s.place.kind == inParameter:
			m.RemoveQuery = append(m.RemoveQuery, s.place.name)
		default:
			hidden = append(hidden, s.place.name)
		}
	}
	if len(hidden) == 0 {
		return
	}
	rest := slices.DeleteFunc(cookies(http.Headers), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(hidden, strings.TrimSpace(name))
	})
	if len(rest) == 0 {
		m.RemoveHeaders = append(m.RemoveHeaders, "cookie")
		return
	}
	m.SetHeaders = append(m.SetHeaders, authz.Header{Name: "cookie", Value: strings.Join(rest, "; ")})
}

// tell writes a rule's claims into headers. Every header of the rule is set or removed, with a
// token or without (nil), so that no client can bring its own.
func (r *rule) tell(t *jws, m *authz.Mutation) error {
	var claims map[string]any
	if t != nil {
		claims = t.claims
	}
	r.tellPayload(t, m)
	for _, o := range r.outputs {
		value, ok := headerValue(lookUp(claims, o.Claim))
		if !ok {
			return refusal(authz.TokenClaims, "the claim for header %q holds what cannot be written there", o.Header)
		}
		if value == "" {
			m.RemoveHeaders = append(m.RemoveHeaders, o.Header)
			continue
		}
		m.SetHeaders = append(m.SetHeaders, authz.Header{Name: o.Header, Value: value})
	}
	return nil
}

// lookUp follows a path of names through nested objects; where that leads nowhere, the whole path
// may be a name, as in "https://example.com/roles".
func lookUp(claims map[string]any, path string) any {
	object, rest := claims, path
	for object != nil {
		name, below, nested := strings.Cut(rest, ".")
		if !nested {
			if value, found := object[name]; found {
				return value
			}
			break
		}
		object, _ = object[name].(map[string]any)
		rest = below
	}
	return claims[path]
}

// headerValue writes a claim as a header's value; "" where there is nothing to write. It is not ok
// where the upstream would read something else than the issuer signed: control bytes, spaces at
// the ends, which HTTP drops, and a comma in an element of a list, which would make it two.
func headerValue(claim any) (value string, ok bool) {
	elements, isList := claim.([]any)
	if !isList {
		value, _ = scalar(claim)
		return value, writable(value)
	}
	var parts []string
	for _, element := range elements {
		part, isScalar := scalar(element)
		if !isScalar {
			return "", true
		}
		if !writable(part) || part == "" || strings.Contains(part, ",") {
			return "", false
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ","), true
}

func scalar(claim any) (text string, ok bool) {
	switch c := claim.(type) {
	case string:
		return c, true
	case json.Number:
		return c.String(), true
	case bool:
		if c {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// writable holds a value to RFC 9110, section 5.5. Letters beyond ASCII are written as UTF-8.
func writable(value string) bool {
	control := func(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }
	return value == strings.Trim(value, " ") && !strings.ContainsFunc(value, control)
}
