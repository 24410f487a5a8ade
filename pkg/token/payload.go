package token

import (
	"maps"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
)

// shownClaims are the verified claims as policy sees them: those that the rule calls space-delimited
// are lists of words there, as in Istio. Headers are written from the claims as the issuer signed them.
func (r *rule) shownClaims(claims map[string]any) map[string]any {
	if len(r.spaced) == 0 {
		return claims
	}
	shown := maps.Clone(claims)
	for _, name := range r.spaced {
		text, ok := claims[name].(string)
		if !ok {
			continue
		}
		words := []any{}
		for word := range strings.SplitSeq(text, " ") {
			if word != "" {
				words = append(words, word)
			}
		}
		shown[name] = words
	}
	return shown
}

// tellPayload writes the verified payload into the rule's header for it, as base64url, byte for byte
// what the issuer signed. Without a token the header is removed, so that no client can bring its own.
func (r *rule) tellPayload(t *jws, m *authz.Mutation) {
	if r.payloadHeader == "" {
		return
	}
	if t == nil {
		m.RemoveHeaders = append(m.RemoveHeaders, r.payloadHeader)
		return
	}
	_, payload, _ := strings.Cut(t.signed, ".")
	m.SetHeaders = append(m.SetHeaders, authz.Header{Name: r.payloadHeader, Value: payload})
}
