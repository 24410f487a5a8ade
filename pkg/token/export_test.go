package token

import (
	"context"

	"github.com/sallyport/sallyport/pkg/authz"
)

// VerifyJWS verifies a JWS as Verify does a token for the first rule, up to its claims: what public
// vectors sign has none. It is nil where Verify would go on to judge claims.
func (v *Verifier) VerifyJWS(ctx context.Context, text string) error {
	pieces, err := split(text, v.maxBytes)
	if err != nil {
		return err
	}
	if _, err := decodeBase64(pieces.payload); err != nil {
		return malformed("payload: %w", err)
	}
	return v.VerifySigned(ctx, pieces.header, pieces.signed, pieces.signature)
}

// VerifySigned verifies the signature of any bytes, by what a header says.
func (v *Verifier) VerifySigned(ctx context.Context, header, signed, signature string) error {
	const noClaims = "e30" // {}
	t, err := segments{signed, header, noClaims, signature}.parse()
	if err != nil {
		return err
	}
	s := &sighting{rule: v.rules[0], token: t, trace: &trace{now: v.now()}}
	_, err = v.verify(ctx, s, v.now())
	if steps := s.trace.steps; steps[len(steps)-1].Check == CheckClaims && authz.ReasonOf(err) != authz.TokenSignature {
		return nil
	}
	return err
}
