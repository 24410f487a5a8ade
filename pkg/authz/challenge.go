package authz

import (
	"slices"
	"strconv"
	"strings"
)

// A Challenge is what every WWW-Authenticate header of a refusal says of this service. The zero
// value says nothing.
type Challenge struct {
	Realm string // of the protected resource; printable ASCII

	// ResourceMetadata is the URL of the service's metadata (RFC 9728, section 5.1), by which a
	// client finds the issuer of the tokens that are asked for.
	ResourceMetadata string
}

// StepUp asks for a stronger or fresher authentication than the token shows (RFC 9470).
type StepUp struct {
	ACRValues []string // any of them; in order of preference
	MaxAge    *int     // seconds since the user last authenticated; nil: any
}

// complete gives a denial the WWW-Authenticate header that RFC 9110, section 15.5.2, demands of a
// 401, and RFC 6750, section 3, of every refused token and of a 403 for want of scopes, unless
// the policy wrote its own.
func (c Challenge) complete(d Decision, authenticated bool) []Header {
	has := slices.ContainsFunc(d.Denial, func(h Header) bool { return h.Name == "www-authenticate" })
	lacksScopes := authenticated && d.Status == 403 && len(d.Scopes) > 0
	if has || d.Status != 401 && !lacksScopes && d.Reason.oauthError() == "" {
		return d.Denial
	}
	return append(slices.Clone(d.Denial), Header{Name: "www-authenticate", Value: c.text(d, authenticated)})
}

// text writes the header. Where no token was presented there is no error code (RFC 6750, section 3.1).
func (c Challenge) text(d Decision, authenticated bool) string {
	var p parameters
	p.add("realm", c.Realm)
	switch code := d.Reason.oauthError(); {
	case code != "":
		p.add("error", code)
		p.add("error_description", d.Reason.text())
	case authenticated && d.Status == 401 && d.StepUp != nil:
		p.add("error", "insufficient_user_authentication")
		p.add("error_description", "a stronger or more recent authentication is required")
		p.add("acr_values", strings.Join(d.StepUp.ACRValues, " "))
		if d.StepUp.MaxAge != nil {
			p.add("max_age", strconv.Itoa(*d.StepUp.MaxAge))
		}
	case authenticated && d.Status == 403:
		p.add("error", "insufficient_scope")
		p.add("error_description", "the token lacks a scope")
	}
	p.add("scope", strings.Join(d.Scopes, " "))
	p.add("resource_metadata", c.ResourceMetadata)
	if len(p) == 0 {
		return "Bearer"
	}
	return "Bearer " + strings.Join(p, ", ")
}

// parameters are those of an authentication scheme (RFC 9110, section 11.2), each a quoted string.
type parameters []string

// add leaves out what is empty. What a quoted string cannot hold (RFC 9110, section 5.6.4: control
// bytes, and here all beyond ASCII) is dropped, so that no value ends the header or the string.
func (p *parameters) add(name, value string) {
	quoted := strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return -1
		}
		return r
	}, value)
	if quoted == "" {
		return
	}
	*p = append(*p, name+`="`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(quoted)+`"`)
}
