package differential_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"hash"
	"math/big"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// foreignSalt names the one good signature that pkg/token refuses by design: RFC 7518, section
// 3.5, wants the salt as long as the hash, and both witnesses take any.
const foreignSalt = "a PSS salt of another length"

// signatureMutations keep the text and change its signature.
var signatureMutations = []mutation{
	{"a malleated signature", func(s *subject) string { return s.resign(malleate(s)) }},
	{"a signature of another length", func(s *subject) string {
		signature := s.plain()
		return s.resign(pick(s, nil, []byte{0}, signature[1:], signature[:len(signature)-1],
			append([]byte{0}, signature...), append(slices.Clone(signature), 0), slices.Concat(signature, signature), signature[:len(signature)/2]))
	}},
	{"a signature of one byte throughout", func(s *subject) string {
		return s.resign([]byte(strings.Repeat(pick(s, "\x00", "\x01", "\xff", "A"), len(s.plain()))))
	}},
	{foreignSalt, func(s *subject) string {
		private, ok := s.key.Private.(*rsa.PrivateKey)
		if !ok {
			return s.sign()
		}
		sum, digest := digest(s.key.Algorithm, s.signed())
		signature, err := rsa.SignPSS(rand.Reader, private, sum, digest, &rsa.PSSOptions{SaltLength: pick(s, 0, 1, 20, 100)})
		if err != nil {
			signature = nil
		}
		return s.resign(signature)
	}},
	{"signed over something else", func(s *subject) string {
		signed := s.signed()
		return s.resign(s.signature(s.key, pick(s, "", signed+".", decode(signed), signed[:len(signed)-1], strings.ToUpper(signed))))
	}},
}

// keyMutations use another key, or the key for another algorithm.
var keyMutations = []mutation{
	{"signed by another key", func(s *subject) string { return s.resign(s.signature(s.other, s.signed())) }},
	{"signed by another key, which is named", func(s *subject) string {
		s.header["kid"] = s.other.ID
		return s.resign(s.signature(s.other, s.signed()))
	}},
	{"signed by another key, whose algorithm is named", func(s *subject) string {
		s.header["alg"] = s.other.Algorithm
		return s.resign(s.signature(s.other, s.signed()))
	}},
	{"another key and its algorithm", func(s *subject) string {
		s.header["alg"], s.header["kid"] = s.other.Algorithm, s.other.ID
		return s.resign(s.signature(s.other, s.signed()))
	}},
	{"the key for another algorithm", func(s *subject) string {
		alg := pick(s, asymmetric...)
		s.header["alg"] = pick(s, alg, s.key.Algorithm)
		if _, isRSA := s.key.Private.(*rsa.PrivateKey); !isRSA || alg[0] != 'R' && alg[0] != 'P' {
			return s.sign()
		}
		turned, err := tokentest.NewKey(s.key.ID, alg, "differential")
		if err != nil {
			return ""
		}
		turned.Private = s.key.Private
		return s.resign(s.signature(turned, s.signed()))
	}},
	{"HMAC with the public key", func(s *subject) string {
		s.header["alg"] = pick(s, "HS256", "HS512", s.key.Algorithm)
		mac := hmac.New(pick(s, func() hash.Hash { return sha256.New() }, func() hash.Hash { return sha512.New() }), publicBytes(s))
		mac.Write([]byte(s.signed()))
		return s.resign(mac.Sum(nil))
	}},
	{"a key in the header", func(s *subject) string {
		stranger, err := tokentest.NewKey("stranger", "ES256", "stranger")
		if err != nil {
			return ""
		}
		s.header["alg"], s.header["jwk"] = "ES256", stranger.JWK()
		s.header["kid"] = pick(s, s.key.ID, "stranger")
		return s.resign(s.signature(stranger, s.signed()))
	}},
}

func (s *subject) signed() string { return encode(object(s.header)) + "." + encode(object(s.claims)) }

func (s *subject) plain() []byte { return s.signature(s.key, s.signed()) }

func (s *subject) resign(signature []byte) string {
	return s.signed() + "." + encode(string(signature))
}

// malleate makes another signature of a good one, by what its mathematics offers.
func malleate(s *subject) []byte {
	signature := s.plain()
	switch private := s.key.Private.(type) {
	case *ecdsa.PrivateKey:
		return malleateECDSA(s, private, signature)
	case *rsa.PrivateKey:
		added := new(big.Int).Add(new(big.Int).SetBytes(signature), private.N).Bytes()
		return pick(s, added, new(big.Int).Sub(private.N, new(big.Int).SetBytes(signature)).FillBytes(make([]byte, len(signature))))
	}
	// RFC 8032, section 5.1.7: S must be below the order; S+L satisfies the equation too.
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	half := slices.Clone(signature[32:])
	slices.Reverse(half)
	sum := new(big.Int).Add(new(big.Int).SetBytes(half), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return append(signature[:32:32], sum...)
}

// malleateECDSA gives, among others, (r, n-s), which verifies: that is inherent, and why nothing
// may be keyed by a token's text alone.
func malleateECDSA(s *subject, private *ecdsa.PrivateKey, signature []byte) []byte {
	size := len(signature) / 2
	n := private.Curve.Params().N
	r, other := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	pair := func(r, other *big.Int) []byte {
		return append(new(big.Int).Abs(r).FillBytes(make([]byte, size)), new(big.Int).Abs(other).FillBytes(make([]byte, size))...)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, other})
	if err != nil {
		return nil
	}
	zero := new(big.Int)
	return pick(s, pair(r, new(big.Int).Sub(n, other)), pair(other, r), pair(zero, zero), pair(n, n), pair(zero, other), pair(r, zero), pair(new(big.Int).Sub(n, r), other), der)
}

func digest(alg, signed string) (crypto.Hash, []byte) {
	sum := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[alg[2:]]
	h := sum.New()
	h.Write([]byte(signed))
	return sum, h.Sum(nil)
}

// publicBytes are what a careless verifier would take for an HMAC secret.
func publicBytes(s *subject) []byte {
	der, err := x509.MarshalPKIXPublicKey(s.key.Private.Public())
	if err != nil {
		return nil
	}
	return pick(s, der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), []byte(text(s.key.JWK())), nil, []byte(s.key.ID))
}
