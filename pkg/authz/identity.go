package authz

// An Identity is who asks, as far as the tokens on the request prove it. The zero value is anonymous.
type Identity struct {
	// Tokens holds one entry for every rule of the configuration, by the rule's name,
	// present on the request or not.
	Tokens map[string]Token

	// Upstream is what an allow changes on the request for the tokens' sake: the claims that go
	// upstream as headers, those headers' names where there is no claim to set, and the tokens
	// themselves, which are not passed on.
	Upstream Mutation
}

// A TokenStatus is the state of a token slot.
type TokenStatus string

// The states of a slot. Policy sees only the first two: an invalid token stops at the first door.
const (
	TokenMissing TokenStatus = "missing"
	TokenValid   TokenStatus = "valid"
	TokenInvalid TokenStatus = "invalid"
)

// A Token is one slot of an Identity. It never holds the token's text.
//
// Claims and Header, and all that is in them, must not be changed: the same maps are handed out for
// every request with the same token, at the same time.
type Token struct {
	Status TokenStatus
	Issuer string         // of a JWT-SVID: its trust domain's SPIFFE ID
	Claims map[string]any // verified; numbers are json.Number
	Header map[string]any // alg, kid and typ, where present
}

// Authenticated tells whether at least one token was verified.
func (id Identity) Authenticated() bool {
	for _, token := range id.Tokens {
		if token.Status == TokenValid {
			return true
		}
	}
	return false
}
