package token

import (
	"context"

	"github.com/sallyport/sallyport/pkg/authz"
)

// VerifyJWS verifies a JWS as Verify does a token for the first rule, up to its claims: what public
// vectors sign has none. It is nil where Verify would go on to judge claims.
func (v *Verifier) VerifyJWS(ctx context.Context, text string) error {
	header, payload, signature, err := split(text)
	if err != nil {
		return err
	}
	if _, err := decodeBase64(payload); err != nil {
		return malformed("payload: %w", err)
	}
	return v.VerifySigned(ctx, header, header+"."+payload, signature)
}

// VerifySigned verifies the signature of any bytes, by what a header says.
func (v *Verifier) VerifySigned(ctx context.Context, header, signed, signature string) error {
	const noClaims = "e30" // {}
	t, err := parseJWS(header+"."+noClaims+"."+signature, v.maxBytes)
	if err != nil {
		return err
	}
	t.signed = signed
	s := sighting{rule: v.rules[0], token: t, trace: &trace{now: v.now()}}
	err = v.verify(ctx, s)
	if steps := s.trace.steps; steps[len(steps)-1].Check == CheckClaims && authz.ReasonOf(err) != authz.TokenSignature {
		return nil
	}
	return err
}
