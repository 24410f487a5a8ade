package gaps

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
	"github.com/sallyport/sallyport/pkg/history"
)

// A mark is a gap that one record shows. Marks with the same key are one gap.
type mark struct {
	kind    Kind
	subject string
	detail  detail
}

// A detail is what sets gaps of one subject apart, and what the change needs to know.
type detail struct {
	rule, route string
	slot        string
	certified   bool   // the caller had a certificate
	allowed     bool   // of ByDefault
	entrypoint  string // of ByDefault
	undefined   bool   // of ByDefault: the policy had no answer at all
	algorithm   string
	audiences   string // sorted, with commas
}

// marks are the gaps that a record shows by itself.
func (c *Config) marks(r *history.Record) []mark {
	var out []mark
	pattern := r.Pattern()
	here := detail{rule: r.Rule, route: r.Route, certified: r.Source.Principal != ""}
	user, workload := c.identities(r)
	switch {
	case !r.Allowed:
	case r.Method != "" && !user && !workload:
		out = append(out, mark{NoToken, pattern, here})
	case user && !workload && !here.certified:
		out = append(out, mark{NoWorkload, pattern, here})
	}
	if r.Allowed && !here.certified {
		out = append(out, mark{NoMTLS, clientOf(r), detail{}})
	}
	if undefined := r.Reason == authz.PolicyUndefined; undefined || r.Entrypoint != "" && r.Rule == "" && decided(r) {
		out = append(out, mark{ByDefault, pattern, detail{allowed: r.Allowed, entrypoint: r.Entrypoint, undefined: undefined}})
	}
	for slot, token := range r.Tokens {
		if token.Status == authz.TokenValid {
			out = append(out, c.tokenMarks(slot, &token)...)
		}
	}
	return out
}

// decided tells whether the policy came to an answer, and no error of it or before it.
func decided(r *history.Record) bool { return r.Allowed || r.Reason == authz.PolicyDenied }

func clientOf(r *history.Record) string {
	if r.Source.Address == "" {
		return "a client without an address"
	}
	return r.Source.Address
}

// identities tells whether a token of a user and one of a workload were valid.
func (c *Config) identities(r *history.Record) (user, workload bool) {
	for slot, token := range r.Tokens {
		switch {
		case token.Status != authz.TokenValid:
		case c.isWorkload(slot, &token):
			workload = true
		default:
			user = true
		}
	}
	return user, workload
}

func (c *Config) isWorkload(slot string, token *history.Token) bool {
	if slices.Contains(c.Workloads, slot) || strings.HasPrefix(token.Subject, "spiffe://") {
		return true
	}
	client, ok := token.Claims["client_id"].(string)
	return ok && client == token.Subject
}

// tokenMarks are those of a token, whatever was decided.
func (c *Config) tokenMarks(slot string, token *history.Token) []mark {
	var out []mark
	subject := slot + " of " + token.Issuer
	if token.Lifetime() > c.MaxLifetime {
		out = append(out, mark{LongLived, subject, detail{slot: slot}})
	}
	if isWeak(token.Algorithm) || isPKCS1(token.Algorithm) {
		out = append(out, mark{WeakAlgorithm, subject, detail{slot: slot, algorithm: token.Algorithm}})
	}
	if audiences, ok := token.Claims["aud"].([]any); ok && len(audiences) > 1 {
		out = append(out, mark{WideAudience, subject, detail{slot: slot, audiences: names(audiences)}})
	}
	return out
}

// isWeak tells of algorithms with which whoever verifies a token can also make one, or anybody.
func isWeak(algorithm string) bool {
	return strings.HasPrefix(algorithm, "HS") || strings.EqualFold(algorithm, "none")
}

// isPKCS1 tells of signatures by PKCS #1 v1.5, which the FAPI 2.0 Security Profile, section 5.4.1, no
// longer takes.
func isPKCS1(algorithm string) bool { return strings.HasPrefix(algorithm, "RS") }

func names(list []any) string {
	var out []string
	for _, item := range list {
		if name, ok := item.(string); ok {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// A lack is what records do not say of tokens, so that a gap may be there and is not seen.
type lack struct {
	valid                                int // valid tokens
	lifetime, audience, algorithm, grant int // of which this is not kept
}

func (l *lack) add(r *history.Record) {
	for _, token := range r.Tokens {
		if token.Status != authz.TokenValid {
			continue
		}
		l.valid++
		l.lifetime += missing(token.Claims, "iat", "exp")
		l.audience += missing(token.Claims, "aud")
		l.grant += min(missing(token.Claims, "scope"), missing(token.Claims, "scp"), missing(token.Claims, "roles"), missing(token.Claims, "groups"))
		if token.Algorithm == "" {
			l.algorithm++
		}
	}
}

// missing is 1 where a claim is not there, or is masked.
func missing(claims map[string]any, names ...string) int {
	for _, name := range names {
		switch value := claims[name].(type) {
		case json.Number, []any:
		case string:
			if value == mask.Text {
				return 1
			}
		default:
			return 1
		}
	}
	return 0
}
