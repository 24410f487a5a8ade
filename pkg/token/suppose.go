package token

import (
	"encoding/base64"
	"encoding/json"

	"github.com/sallyport/sallyport/pkg/authz"
)

// InsecureSuppose is the identity that Verify returns for a request with verified tokens in these
// slots: what the rules demand, show to policy and write into headers. It verifies nothing and sees no
// request, so it is for tests of a policy alone. What it is given of other slots than the rules' is left
// out. The payload for a header is written anew from the claims.
func (v *Verifier) InsecureSuppose(slots map[string]authz.Token) (authz.Identity, error) {
	id := authz.Identity{Tokens: make(map[string]authz.Token, len(v.rules))}
	var seen []sighting
	for _, r := range v.rules {
		id.Tokens[r.name] = authz.Token{Status: authz.TokenMissing}
		if slots[r.name].Status == authz.TokenValid {
			seen = append(seen, sighting{rule: r})
		}
	}
	if err := v.demand(seen, nil); err != nil {
		return id, err
	}
	for _, r := range v.rules {
		if of(r, seen) == nil {
			id.Upstream.SetHeaders = append(id.Upstream.SetHeaders, r.silence.SetHeaders...)
			id.Upstream.RemoveHeaders = append(id.Upstream.RemoveHeaders, r.silence.RemoveHeaders...)
			continue
		}
		given := slots[r.name]
		payload, err := json.Marshal(given.Claims)
		if err != nil {
			return id, within(refusal(authz.TokenClaims, "the claims are no JSON"), "rule %q", r.name)
		}
		supposed := &jws{claims: given.Claims, signed: "." + base64.RawURLEncoding.EncodeToString(payload)}
		if err := r.tell(supposed, &id.Upstream); err != nil {
			return id, within(err, "rule %q", r.name)
		}
		issuer := given.Issuer
		if issuer == "" {
			issuer = r.issuer
		}
		id.Tokens[r.name] = authz.Token{Status: authz.TokenValid, Issuer: issuer, Claims: r.shownClaims(given.Claims), Header: given.Header}
	}
	return id, nil
}
