package mask

import (
	"slices"
	"strings"
)

// A Judgement is what a name says of its value.
type Judgement int

// The judgements.
const (
	Harmless Judgement = iota
	Doubtful           // a credential if it looks random
	Secret             // a credential
)

// Names are compared without regard to case, and to the characters that part words.
var (
	secretParts = []string{
		"authorization", "cookie", "token", "secret", "passw", "passphrase", "passcode", "apikey", "accesskey",
		"privatekey", "signingkey", "encryptionkey", "credential", "assertion", "jwt", "bearer", "samlresponse",
		"signature", "sessionid", "sessid", "csrf", "xsrf", "subscriptionkey",
	}
	secretNames   = []string{"pwd", "pass", "pin", "otp", "totp", "cvv", "cvc", "sid", "dpop", "sig", "hmac"}
	doubtfulParts = []string{"auth", "key", "sess", "otp", "cred", "pass", "hmac", "login", "ticket"}
	doubtfulNames = []string{"code", "state", "nonce", "sas", "se"}

	// RFC 6749, section 7.1 and RFC 7662 (types of tokens); RFC 9396 (permissions); RFC 9110, section
	// 11.6.1 (a challenge); how much a language model may say; certificates' algorithms; W3C's levels.
	harmlessNames = []string{
		"tokentype", "tokenuse", "tokentypehint", "authorizationdetails", "wwwauthenticate", "maxtokens",
		"signaturealgorithm", "authtime", "author", "authors", "authority",
	}
)

// Judge judges a name.
func Judge(name string) Judgement {
	var room [64]byte
	plain := string(squeeze(room[:0], name)) // stays on the stack
	switch {
	case len(plain) < 2 || slices.Contains(harmlessNames, plain):
		return Harmless
	case hasOne(plain, secretParts) || slices.Contains(secretNames, plain):
		return Secret
	case hasOne(plain, doubtfulParts) || slices.Contains(doubtfulNames, plain):
		return Doubtful
	}
	return Harmless
}

// squeeze makes letters small and drops all but letters and digits.
func squeeze(to []byte, name string) []byte {
	for i := range len(name) {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			to = append(to, c+'a'-'A')
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c >= 0x80:
			to = append(to, c)
		}
	}
	return to
}

func hasOne(name string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
