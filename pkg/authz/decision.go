package authz

import (
	"slices"
	"strings"
)

// A Decision is the answer to a check. The zero value denies.
type Decision struct {
	Allowed    bool
	Reason     Reason
	Detail     string // why, for the operator's record, never for the caller
	ID         string // of the decision; set by [Checker.Check]
	Revision   string // of the policy that decided
	Entrypoint string // the policy's rule that was asked, such as data.envoy.authz.allow; "" where none was
	Cached     bool   // the policy gave this answer to an earlier check
	Basis      *Basis // what it was made from; nil where nobody records that, or no policy was asked

	// Of an allow.
	Upstream Mutation // what changes on the request
	Response []Header // added to the upstream's response to the client

	// Of a denial.
	// Status is the HTTP status; 0: 401 where no token was presented but could have been, and where
	// StepUp is set, else 403.
	Status int
	Body   string
	Denial []Header // headers of the denial
	Scopes []string // that the token lacks (RFC 6750, section 3.1: insufficient_scope)
	StepUp *StepUp  // the authentication to ask for; nil: none

	Metadata map[string]any // for Envoy's dynamic metadata
}

// Named is a text that the policy gives with its answer, in dynamic_metadata: "rule", that decided, or
// "route", that the request is for. It is as the policy wrote it, so who records it masks it.
func (d *Decision) Named(name string) string {
	text, _ := d.Metadata[name].(string) // without any, or of another type: none
	return text
}

// A Header is a header to set. A name that comes twice is set twice.
type Header struct {
	Name  string // lower-case
	Value string
}

// A Parameter is a query parameter to set; its name and value are not encoded yet.
type Parameter struct {
	Name  string
	Value string
}

// A Mutation is what an allow changes on the request that goes upstream.
type Mutation struct {
	SetHeaders    []Header // each overwrites every value that the client sent
	RemoveHeaders []string // a name that is also set is not listed
	SetQuery      []Parameter
	RemoveQuery   []string
}

// allow completes an allow: what the policy changes comes after what the tokens change, and no
// alias of an overwritten header gets past.
func allow(record *Record) Decision {
	d := record.Decision
	d.ID, d.Reason = record.ID, Allowed
	d.Status, d.Body, d.Denial, d.Scopes, d.StepUp = 0, "", nil, nil, nil
	d.Upstream = merge(record.Identity.Upstream, d.Upstream)
	if http := record.Request.HTTP; http != nil {
		d.Upstream.RemoveHeaders = append(d.Upstream.RemoveHeaders, aliases(http.Headers, d.Upstream)...)
	}
	return d
}

// merge lays the policy's changes over the tokens'. Envoy removes after it sets, so a header that
// the policy sets must not stay on the tokens' list of removals, and one it removes is not set.
func merge(tokens, policy Mutation) Mutation {
	set := func(name string) bool {
		return slices.ContainsFunc(policy.SetHeaders, func(h Header) bool { return h.Name == name })
	}
	m := Mutation{
		SetHeaders:    slices.Clone(policy.SetHeaders),
		RemoveHeaders: slices.Clone(policy.RemoveHeaders),
		SetQuery:      policy.SetQuery,
		RemoveQuery:   slices.Concat(tokens.RemoveQuery, policy.RemoveQuery),
	}
	for _, h := range tokens.SetHeaders {
		if !set(h.Name) && !slices.Contains(policy.RemoveHeaders, h.Name) {
			m.SetHeaders = append(m.SetHeaders, h)
		}
	}
	for _, name := range tokens.RemoveHeaders {
		if !set(name) && !slices.Contains(m.RemoveHeaders, name) {
			m.RemoveHeaders = append(m.RemoveHeaders, name)
		}
	}
	return m
}

// aliases lists the client's headers that a CGI-like upstream cannot tell from a header that m
// sets or removes, because it reads "_" as "-".
func aliases(headers Headers, m Mutation) []string {
	var found []string
	for name := range headers {
		dashed := strings.ReplaceAll(name, "_", "-")
		if dashed != name && m.touches(dashed) && !m.touches(name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

func (m Mutation) touches(name string) bool {
	return slices.Contains(m.RemoveHeaders, name) ||
		slices.ContainsFunc(m.SetHeaders, func(h Header) bool { return h.Name == name })
}

// deny completes the policy's denial. Without a status from the policy, a caller who could have
// presented a token and did not is asked for one (401), and any other is turned away (403).
func deny(record *Record, challenge Challenge) Decision {
	d := record.Decision
	d.ID, d.Allowed = record.ID, false
	if d.Reason == "" || d.Reason == Allowed {
		d.Reason = PolicyDenied
	}
	d.Upstream, d.Response = Mutation{}, nil
	authenticated := record.Identity.Authenticated()
	if d.Status == 0 {
		d.Status = d.Reason.status()
	}
	if d.Status == 0 {
		d.Status = 403
		asked := len(record.Identity.Tokens) > 0 && !authenticated
		if record.Request.HTTP != nil && (asked || d.StepUp != nil) {
			d.Status = 401
		}
	}
	d.Denial = challenge.complete(d, authenticated)
	return d
}

// refuse makes the denial of an error.
func refuse(record *Record, challenge Challenge, err error) Decision {
	reason := ReasonOf(err)
	refused := *record
	refused.Decision = Decision{
		Reason:     reason,
		Detail:     err.Error(),
		Revision:   record.Decision.Revision,
		Entrypoint: record.Decision.Entrypoint,
		Basis:      record.Decision.Basis,
		Body:       reason.text(),
	}
	return deny(&refused, challenge)
}
