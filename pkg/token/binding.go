package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/pem"
	"errors"
	"net/url"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A binding is the client certificate that a token is bound to (RFC 8705, section 3.1). The zero
// value binds to none.
type binding struct {
	bound      bool
	thumbprint [sha256.Size]byte
}

// thumbprintMember is the one confirmation method that is checked here.
const thumbprintMember = "x5t#S256"

// readBinding reads cnf (RFC 7800). Who takes a bound token without seeing proof takes a stolen one
// too, so a member that is not understood, such as jkt (RFC 9449), refuses the token, even beside
// one that is.
func readBinding(claims map[string]any) (binding, error) {
	value, present := claims["cnf"]
	if !present {
		return binding{}, nil
	}
	cnf, ok := value.(map[string]any)
	if !ok || len(cnf) == 0 {
		return binding{}, refusal(authz.TokenClaims, "cnf is no object, or empty")
	}
	for name := range cnf {
		if name != thumbprintMember {
			return binding{}, refusal(authz.TokenBinding, "the token is bound by a member of cnf other than %s, of which no proof is checked", thumbprintMember)
		}
	}
	text, _ := cnf[thumbprintMember].(string)
	sum, err := decodeBase64(text)
	if err != nil || len(sum) != sha256.Size {
		return binding{}, refusal(authz.TokenClaims, "%s in cnf is no SHA-256 in base64url", thumbprintMember)
	}
	return binding{bound: true, thumbprint: [sha256.Size]byte(sum)}, nil
}

// Limits of what is remembered of certificates: enough for the peers of one proxy, below 4 MiB.
const (
	maxCertificates     = 512
	maxCertificateBytes = 8 << 10
)

// certificates remembers the thumbprints of the certificates that Envoy sent, which come with every
// request of a connection. A certificate was shown to Envoy in a handshake, so what is in its text
// is not a stranger's invention; which tokens it fits is.
type certificates struct {
	known *lru.Cache[string, [sha256.Size]byte]
}

func newCertificates() (certificates, error) {
	known, err := lru.New[string, [sha256.Size]byte](maxCertificates)
	return certificates{known}, err
}

// check refuses a bound token on a connection that did not show its certificate.
func (c certificates) check(b binding, certificate string) error {
	if !b.bound {
		return nil
	}
	if certificate == "" {
		return refusal(authz.TokenBinding, "the token is bound to a certificate, and Envoy sent none: the client has none, or include_peer_certificate is off")
	}
	thumbprint, found := c.known.Get(certificate)
	if !found {
		var err error
		if thumbprint, err = thumbprintOf(certificate); err != nil {
			return refusal(authz.TokenBinding, "source.certificate: %w", err)
		}
		if len(certificate) <= maxCertificateBytes {
			c.known.Add(certificate, thumbprint)
		}
	}
	if subtle.ConstantTimeCompare(thumbprint[:], b.thumbprint[:]) != 1 {
		return refusal(authz.TokenBinding, "the token is bound to another certificate")
	}
	return nil
}

// thumbprintOf hashes the DER of a certificate as Envoy sends it, in PEM and URL-encoded. In a
// chain the first is the peer's.
func thumbprintOf(certificate string) (sum [sha256.Size]byte, err error) {
	text, err := url.PathUnescape(certificate) // "+" is base64's, not a space
	if err != nil {
		return sum, errors.New("not URL-encoded")
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return sum, errors.New("no certificate in PEM")
	}
	return sha256.Sum256(block.Bytes), nil
}
