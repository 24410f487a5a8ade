package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A jws is a token in compact form (RFC 7515, section 3.1), taken apart and not verified:
// nothing in it may be believed before its signature has been checked over signed, byte for byte.
type jws struct {
	header    map[string]any
	claims    map[string]any
	signed    string // header and payload as they came, the input of the signature
	signature []byte

	algorithm string // canonical
	kid       string // "" where the header has none
	typ       string // canonical, "" where the header has none
	issuer    string // "" where iss is absent or no string
}

// maxHeaderBytes bounds the header's segment. A header holds alg, kid and typ; with a certificate
// thumbprint it is still below 300 bytes.
const maxHeaderBytes = 1 << 10

// maxKIDBytes bounds a key's id.
const maxKIDBytes = 128

// forbiddenParameters are header parameters that change how a token is to be read, or bring a key
// of the caller's choice. Sallyport implements no extension (crit and b64: RFC 7515 section
// 4.1.11, RFC 7797), decrypts nothing, and takes keys from the issuer alone.
var forbiddenParameters = []string{
	"crit", "b64", "zip", "jwk", "jku", "x5u", "x5c", "enc", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c",
}

// registeredParameters must, like the forbidden ones, not come in another case.
var registeredParameters = []string{"alg", "typ", "cty", "kid", "x5t", "x5t#S256"}

// segments are the three parts of a token, not decoded.
type segments struct {
	signed, header, payload, signature string
}

// parse takes a token apart. The cheap checks come first, and nothing here costs as much as a
// signature. A token has one spelling: what a lenient base64 or JSON reader would accept beside it
// is refused, so that caches and revocation see one text for one token.
func (s segments) parse() (t *jws, err error) {
	t = &jws{signed: s.signed}
	if t.header, err = decodeSegment("header", s.header); err != nil {
		return nil, err
	}
	if err := t.readHeader(); err != nil {
		return nil, err
	}
	if t.signature, err = decodeBase64(s.signature); err != nil {
		return nil, malformed("signature: %w", err)
	}
	if t.claims, err = decodeSegment("payload", s.payload); err != nil {
		return nil, err
	}
	if err := refuseLookalikes(t.claims, registeredClaims); err != nil {
		return nil, malformed("payload: %w", err)
	}
	t.issuer, _ = t.claims["iss"].(string)
	return t, nil
}

// split finds the three segments without building more than it needs: a token of dots costs nothing.
func split(text string, maxBytes int) (s segments, err error) {
	if len(text) > maxBytes {
		return segments{}, malformed("more than %d bytes", maxBytes)
	}
	header, rest, _ := strings.Cut(text, ".")
	payload, signature, found := strings.Cut(rest, ".")
	switch {
	case !found || strings.IndexByte(signature, '.') >= 0:
		return segments{}, malformed("not three segments")
	case header == "" || payload == "" || signature == "":
		return segments{}, malformed("an empty segment")
	case len(header) > maxHeaderBytes:
		return segments{}, malformed("a header of more than %d bytes", maxHeaderBytes)
	}
	return segments{text[:len(header)+1+len(payload)], header, payload, signature}, nil
}

// decodeBase64 decodes base64url as RFC 7515 has it. Even the strict decoder skips CR and LF, so
// the alphabet is checked before.
func decodeBase64(segment string) ([]byte, error) {
	for i := range len(segment) {
		if !isBase64URL(segment[i]) {
			return nil, errors.New("not base64url")
		}
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return decoded, nil
}

func isBase64URL(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_'
}

func decodeSegment(name, segment string) (map[string]any, error) {
	text, err := decodeBase64(segment)
	if err != nil {
		return nil, malformed("%s: %w", name, err)
	}
	object, err := decodeObject(text)
	if err != nil {
		return nil, malformed("%s: %w", name, err)
	}
	return object, nil
}

// readHeader refuses every header that Sallyport does not understand in full.
func (t *jws) readHeader() error {
	for _, names := range [][]string{registeredParameters, forbiddenParameters} {
		if err := refuseLookalikes(t.header, names); err != nil {
			return malformed("header: %w", err)
		}
	}
	for _, name := range forbiddenParameters {
		if _, present := t.header[name]; present {
			return unsupported("the header has %q", name)
		}
	}
	alg, ok := t.header["alg"].(string)
	if !ok {
		return malformed("header: alg is missing or no string")
	}
	if t.algorithm, ok = canonicalAlgorithm(alg); !ok {
		return unsupported("alg is none that Sallyport verifies")
	}
	if err := t.readKID(); err != nil {
		return err
	}
	return t.readType()
}

// readKID reads the key's id, which is never more than the key of a map.
func (t *jws) readKID() error {
	value, present := t.header["kid"]
	if !present {
		return nil
	}
	kid, ok := value.(string)
	printable := !strings.ContainsFunc(kid, func(r rune) bool { return r < 0x21 || r > 0x7e })
	if !ok || kid == "" || len(kid) > maxKIDBytes || !printable {
		return malformed("header: kid is no string of 1 to %d printable bytes", maxKIDBytes)
	}
	t.kid = kid
	return nil
}

// readType reads typ and cty, and holds those to their type that are passed over here and that
// another reader of the token may trip over (RFC 7515, section 4.1; RFC 8555, section 6.5.2). A
// content type of JWT announces a token inside the token (RFC 7519, section 5.2), which is never
// unwrapped.
func (t *jws) readType() error {
	for _, name := range []string{"typ", "cty", "x5t", "x5t#S256", "nonce", "url"} {
		value, present := t.header[name]
		if _, ok := value.(string); present && !ok {
			return malformed("header: %s is no string", name)
		}
	}
	typ, _ := t.header["typ"].(string)
	if _, present := t.header["typ"]; present && typ == "" {
		return malformed("header: typ is empty")
	}
	t.typ = canonicalType(typ)
	if cty, _ := t.header["cty"].(string); canonicalType(cty) == "jwt" {
		return unsupported("a token inside the token")
	}
	return nil
}

// canonicalType makes media types comparable: without "application/" and in lower case
// (RFC 7515, section 4.1.9; RFC 2045, section 5.1).
func canonicalType(typ string) string {
	typ = strings.ToLower(typ)
	if short, found := strings.CutPrefix(typ, "application/"); found && !strings.Contains(short, "/") {
		return short
	}
	return typ
}

// shownHeader is the part of the header that policy and records see.
func (t *jws) shownHeader() map[string]any {
	shown := make(map[string]any, 3)
	for name, value := range t.header {
		if slices.Contains([]string{"alg", "kid", "typ"}, name) {
			shown[name] = value
		}
	}
	return shown
}

func malformed(format string, args ...any) error {
	return refusal(authz.TokenMalformed, format, args...)
}

func unsupported(format string, args ...any) error {
	return refusal(authz.TokenUnsupported, format, args...)
}

// refusal is a token's refusal. Its text never quotes the token.
func refusal(reason authz.Reason, format string, args ...any) error {
	return &authz.Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}
