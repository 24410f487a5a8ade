package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/pkg/authz"
)

// keys is about what keys may be used, and what a signature must be.
func (f *forge) keys() map[string][]vector {
	return map[string][]vector{
		"22-rsa-keys": f.oddKeys("rsa-1024", "rsa-1536", "rsa-e3", "rsa-8200", "rsa-e-wraps"),
		"23-hmac-keys": {
			bearer("HS256 with the set's symmetric key", f.oddly("rs256", "HS256", "symmetric"), authz.TokenUnsupported),
			bearer("RS256 with the set's symmetric key", f.oddly("rs256", "RS256", "symmetric"), authz.TokenKeyUnknown),
		},
		"24-ecdsa":     f.ecdsa(),
		"25-pss":       f.pss(),
		"26-eddsa":     f.eddsa(),
		"27-key-usage": f.keyUsage(),
	}
}

// oddly signs a token of the odd issuer, with a key of its set or under its name.
func (f *forge) oddly(key, alg, kid string) string {
	return f.sign(key, map[string]any{"alg": alg, "kid": kid}, map[string]any{"iss": oddIssuer})
}

// oddKeys signs with RSA keys that must not be in use.
func (f *forge) oddKeys(ids ...string) []vector {
	var all []vector
	for _, id := range ids {
		signer := id
		if f.keysByID[id] == nil {
			signer = "rs256"
		}
		all = append(all, bearer(id, f.oddly(signer, "RS256", id), authz.TokenKeyUnknown))
	}
	return all
}

func (f *forge) ecdsa() []vector {
	h, p, s := cut(f.good(nil))
	signature, err := f.keysByID["es256"].Signature(h + "." + p)
	f.fail(err)
	half := size(elliptic.P256())
	order := elliptic.P256().Params().N.Bytes()
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])})
	f.fail(err)
	zero, one := make([]byte, half), append(make([]byte, half-1), 1)
	refused := func(name string, parts ...[]byte) vector {
		return bearer(name, h+"."+p+"."+encode(slices.Concat(parts...)), authz.TokenSignature)
	}
	return []vector{
		valid("as signed", h+"."+p+"."+s),
		refused("r and s zero", zero, zero),
		refused("r zero", zero, signature[half:]),
		refused("s zero", signature[:half], zero),
		refused("r and s the order", order, order),
		refused("r and s one", one, one),
		refused("DER", der),
		refused("one byte short", signature[:2*half-1]),
		refused("one byte long", signature, []byte{0}),
		refused("a zero before s", signature[:half], []byte{0}, signature[half:]),
		refused("two leading zeros", []byte{0}, signature[:half], []byte{0}, signature[half:]),
		refused("r alone", signature[:half]),
		bearer("ES256 with a P-384 key", f.crossed("p384-no-alg", "ES256", crypto.SHA256), authz.TokenKeyUnknown),
		bearer("ES512 with a P-256 key", f.crossed("unnamed-alg", "ES512", crypto.SHA512), authz.TokenKeyUnknown),
		bearer("ES384 with a P-256 key of alg ES256", f.sign("es384", map[string]any{"kid": "es256"}, nil), authz.TokenKeyUnknown),
		bearer("a point that is not on the curve", f.oddly("es256", "ES256", "off-curve"), authz.TokenKeyUnknown),
		bearer("another curve", f.oddly("es256", "ES256", "koblitz"), authz.TokenKeyUnknown),
		oddValid("ES384 with a P-384 key without alg", f.oddly("p384-no-alg", "ES384", "p384-no-alg")),
	}
}

// crossed signs with a key and the hash of an algorithm of another curve.
func (f *forge) crossed(id, alg string, hash crypto.Hash) string {
	h, p, _ := cut(f.oddly(id, alg, id))
	private, ok := f.keysByID[id].Private.(*ecdsa.PrivateKey)
	if !ok {
		return f.misfit(id)
	}
	digest := hash.New()
	digest.Write([]byte(h + "." + p))
	der, err := private.Sign(nil, digest.Sum(nil), hash)
	f.fail(err)
	var point struct{ R, S *big.Int }
	_, err = asn1.Unmarshal(der, &point)
	f.fail(err)
	half := size(private.Curve)
	signature := make([]byte, 2*half)
	point.R.FillBytes(signature[:half])
	point.S.FillBytes(signature[half:])
	return h + "." + p + "." + encode(signature)
}

func oddValid(name, text string) vector {
	return headers(name, map[string][]string{"authorization": {"Bearer " + text}}, authz.Allowed, "odd")
}

func (f *forge) pss() []vector {
	salted := func(length int) string {
		h, p, _ := cut(f.sign("ps256", nil, nil))
		digest := sha256.Sum256([]byte(h + "." + p))
		var seed [32]byte
		copy(seed[:], strconv.Itoa(length))
		private, ok := f.keysByID["ps256"].Private.(*rsa.PrivateKey)
		if !ok {
			return f.misfit("ps256")
		}
		signature, err := rsa.SignPSS(mathrand.NewChaCha8(seed), private, crypto.SHA256,
			digest[:], &rsa.PSSOptions{SaltLength: length})
		f.fail(err)
		return h + "." + p + "." + encode(signature)
	}
	const auto = rsa.PSSSaltLengthAuto // makes an empty salt of its own when it is asked for 0
	return []vector{
		valid("a salt as long as the hash", salted(32)),
		bearer("a salt of 20 bytes", salted(20), authz.TokenSignature),
		bearer("a salt of 1 byte", salted(1), authz.TokenSignature),
		bearer("a salt of 33 bytes", salted(33), authz.TokenSignature),
		bearer("the longest salt", salted(auto), authz.TokenSignature),
		bearer("RS256's signature called PS256", f.sign("rs256", map[string]any{"alg": "PS256", "kid": "ps256"}, nil), authz.TokenSignature),
		bearer("PS384's signature called PS256", f.sign("ps384", map[string]any{"alg": "PS256", "kid": "ps256"}, nil), authz.TokenSignature),
	}
}

func (f *forge) eddsa() []vector {
	text := f.sign("eddsa", nil, nil)
	h, p, _ := cut(text)
	signature, err := f.keysByID["eddsa"].Signature(h + "." + p)
	f.fail(err)
	refused := func(name string, signature []byte) vector {
		return bearer(name, h+"."+p+"."+encode(signature), authz.TokenSignature)
	}
	return []vector{
		valid("as signed", text),
		valid("by its name of RFC 9864", f.sign("eddsa", map[string]any{"alg": "Ed25519"}, nil)),
		oddValid("a key whose alg is Ed25519", f.oddly("rfc9864", "EdDSA", "rfc9864")),
		bearer("Ed448", f.sign("eddsa", map[string]any{"alg": "Ed448"}, nil), authz.TokenUnsupported),
		bearer("an X25519 key", f.oddly("eddsa", "EdDSA", "x25519"), authz.TokenKeyUnknown),
		refused("s plus the order", slices.Concat(signature[:32], plusOrder(signature[32:]))),
		refused("all zero", make([]byte, 64)),
		refused("one byte short", signature[:63]),
		refused("one byte long", append(bytes.Clone(signature), 0)),
	}
}

// plusOrder adds the order of Ed25519's group to a little-endian number; RFC 8032, section 5.1.7,
// wants the sum refused.
func plusOrder(s []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	big := new(big.Int)
	reversed := bytes.Clone(s)
	slices.Reverse(reversed)
	sum := make([]byte, 32)
	big.SetBytes(reversed).Add(big, order).FillBytes(sum)
	slices.Reverse(sum)
	return sum
}

func (f *forge) keyUsage() []vector {
	unknown := func(id string) vector { return bearer(id, f.oddly(id, "ES256", id), authz.TokenKeyUnknown) }
	return []vector{
		oddValid("a key for checking", f.oddly("checking", "ES256", "checking")),
		oddValid("a key without use and alg, with key_ops", f.oddly("unnamed-alg", "ES256", "unnamed-alg")),
		unknown("encrypting"), unknown("svid"), unknown("signing"), unknown("leaked"), unknown("twice"),
		bearer("a kind of key that is not known", f.oddly("es256", "ES256", "post-quantum"), authz.TokenKeyUnknown),
	}
}
