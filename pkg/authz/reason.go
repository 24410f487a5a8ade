package authz

import "errors"

// A Reason says why a check ended as it did, in one word of a closed list. It labels metrics and
// records, and its text may reach the caller, so it tells no more than RFC 6750 does.
type Reason string

// The reasons. The zero value, like any unknown one, is a denial.
const (
	Allowed Reason = "allowed"

	// The request could not be read.
	MalformedRequest Reason = "malformed_request"
	PathAmbiguous    Reason = "path_ambiguous"
	RequestTooLarge  Reason = "request_too_large"

	// The first door refused a token.
	TokenMultiple        Reason = "token_multiple"         // two credentials where one is allowed
	TokenMalformed       Reason = "token_malformed"        // not a JWS in compact form, or not strict JSON
	TokenUnsupported     Reason = "token_unsupported"      // algorithm, type or header that no rule allows
	TokenIssuerUnknown   Reason = "token_issuer_unknown"   // no rule for its issuer
	TokenKeyUnknown      Reason = "token_key_unknown"      // no eligible key for its kid
	TokenKeysUnavailable Reason = "token_keys_unavailable" // the issuer's keys are not there yet
	TokenSignature       Reason = "token_signature"        // the signature is not the key's
	TokenExpired         Reason = "token_expired"
	TokenNotYetValid     Reason = "token_not_yet_valid"
	TokenAudience        Reason = "token_audience"
	TokenClaims          Reason = "token_claims"           // a claim is missing or ill-typed
	TokenRequired        Reason = "token_missing"          // a rule requires a token, and there is none
	TokenBinding         Reason = "token_binding"          // bound to a key or certificate that the caller did not prove to have
	TokenRevoked         Reason = "token_revoked"          // by its id, session, subject or client
	TokenRevocationStale Reason = "token_revocation_stale" // nobody knows what is revoked

	// The second door.
	PolicyDenied        Reason = "policy_denied"
	PolicyUndefined     Reason = "policy_undefined"      // no rule had an answer
	PolicyConflict      Reason = "policy_conflict"       // two rules had different answers
	PolicyError         Reason = "policy_error"          // a builtin failed
	PolicyAnswerInvalid Reason = "policy_answer_invalid" // an unknown key or a wrong type
	BodyMalformed       Reason = "body_malformed"        // not what its content type says

	// The server itself.
	Timeout    Reason = "timeout"
	Internal   Reason = "internal"
	Unrecorded Reason = "unrecorded" // the record of the check has no room, and must have
	// NotReady and Overloaded are the only reasons that reach Envoy as a gRPC error (UNAVAILABLE):
	// this server cannot decide anything now.
	NotReady   Reason = "not_ready"
	Overloaded Reason = "overloaded"
)

// An Error is a failure with its two texts: Reason for the caller, Err for the operator.
type Error struct {
	Reason Reason
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf finds the Reason in an error's chain; an error without one is Internal.
func ReasonOf(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return Internal
}

// status is the HTTP status of a refusal for this reason; 0 leaves it to who asked (see deny).
func (r Reason) status() int {
	switch r {
	case MalformedRequest, PathAmbiguous, TokenMultiple, BodyMalformed:
		return 400
	case RequestTooLarge:
		return 413
	case Internal:
		return 500
	case TokenRequired:
		return 401
	case TokenKeysUnavailable, TokenRevocationStale, NotReady, Overloaded, Timeout, Unrecorded:
		return 503
	}
	if r.oauthError() != "" {
		return 401
	}
	return 0
}

// oauthError is the error code of RFC 6750, section 3.1, or "" where the refusal is not a token's.
func (r Reason) oauthError() string {
	switch r {
	case TokenMultiple:
		return "invalid_request"
	case TokenMalformed, TokenUnsupported, TokenIssuerUnknown, TokenKeyUnknown, TokenSignature,
		TokenExpired, TokenNotYetValid, TokenAudience, TokenClaims, TokenBinding, TokenRevoked:
		return "invalid_token"
	}
	return ""
}

// text is what the caller may know.
func (r Reason) text() string {
	switch r {
	case MalformedRequest, PathAmbiguous:
		return "the request is malformed"
	case BodyMalformed:
		return "the request body is malformed"
	case RequestTooLarge:
		return "the request is too large"
	case TokenMultiple:
		return "the request carries more than one credential"
	case TokenExpired:
		return "the token has expired"
	case TokenRequired:
		return "the request carries no token"
	case Internal, Timeout, TokenKeysUnavailable, TokenRevocationStale, NotReady, Overloaded, Unrecorded:
		return "the request cannot be authorized now"
	}
	if r.oauthError() != "" {
		return "the token is invalid"
	}
	return ""
}
