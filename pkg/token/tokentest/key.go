package tokentest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"sync"
)

// A Key signs tokens.
type Key struct {
	ID        string
	Algorithm string
	Private   crypto.Signer

	mu     sync.Mutex // guards random
	random io.Reader
}

// rsaBits is the size of RSA keys.
const rsaBits = 2048

// NewKey makes a key. The same seed makes the same key; "" makes a random one.
func NewKey(id, algorithm, seed string) (*Key, error) {
	k := &Key{ID: id, Algorithm: algorithm, random: rand.Reader}
	if seed != "" {
		k.random = mathrand.NewChaCha8(sha256.Sum256([]byte(seed)))
	}
	var err error
	switch algorithm {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		k.Private, err = NewRSA(k.random, rsaBits, 65537)
	case "ES256":
		k.Private, err = newECDSA(k.random, elliptic.P256())
	case "ES384":
		k.Private, err = newECDSA(k.random, elliptic.P384())
	case "ES512":
		k.Private, err = newECDSA(k.random, elliptic.P521())
	case "EdDSA":
		k.Private, err = newEd25519(k.random)
	default:
		err = fmt.Errorf("unknown algorithm %q", algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("tokentest: make key: %w", err)
	}
	return k, nil
}

// NewRSA makes an RSA key of any size and exponent from what random gives: crypto/rsa takes no
// randomness but its own, and makes no weak keys.
func NewRSA(random io.Reader, bits, exponent int) (*rsa.PrivateKey, error) {
	one, e := big.NewInt(1), big.NewInt(int64(exponent))
	for {
		p, err := prime(random, bits/2)
		if err != nil {
			return nil, err
		}
		q, err := prime(random, bits-bits/2)
		if err != nil {
			return nil, err
		}
		n := new(big.Int).Mul(p, q)
		totient := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, totient)
		if d == nil || p.Cmp(q) == 0 || n.BitLen() != bits {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: exponent}, D: d, Primes: []*big.Int{p, q}}
		key.Precompute()
		return key, nil
	}
}

// prime finds a prime with both highest bits set, so that a product of two has its full length.
func prime(random io.Reader, bits int) (*big.Int, error) {
	text := make([]byte, (bits+7)/8)
	for {
		if _, err := io.ReadFull(random, text); err != nil {
			return nil, err
		}
		p := new(big.Int).SetBytes(text)
		p.Rsh(p, uint(len(text)*8-bits))
		p.SetBit(p, bits-1, 1).SetBit(p, bits-2, 1).SetBit(p, 0, 1)
		if p.ProbablyPrime(20) {
			return p, nil
		}
	}
}

func newECDSA(random io.Reader, curve elliptic.Curve) (*ecdsa.PrivateKey, error) {
	bits := curve.Params().BitSize
	scalar := make([]byte, (bits+7)/8)
	for {
		if _, err := io.ReadFull(random, scalar); err != nil {
			return nil, err
		}
		scalar[0] &= 0xff >> (len(scalar)*8 - bits)
		if key, err := ecdsa.ParseRawPrivateKey(curve, scalar); err == nil { // else not below the order
			return key, nil
		}
	}
}

func newEd25519(random io.Reader) (ed25519.PrivateKey, error) {
	seed := make([]byte, ed25519.SeedSize)
	_, err := io.ReadFull(random, seed)
	return ed25519.NewKeyFromSeed(seed), err
}

// JWK is the public key as a member of a JWK set (RFC 7517).
func (k *Key) JWK() map[string]any {
	jwk := map[string]any{"kid": k.ID, "alg": k.Algorithm, "use": "sig"}
	switch public := k.Private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(public.N.Bytes()), encode(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			return nil
		}
		half := len(point) / 2 // after the byte that says "uncompressed"
		jwk["kty"], jwk["crv"] = "EC", public.Curve.Params().Name
		jwk["x"], jwk["y"] = encode(point[1:1+half]), encode(point[1+half:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", encode(public)
	}
	return jwk
}

// Sign makes a token. Its header has alg, kid and typ JWT, changed by header; a nil member takes one away.
func (k *Key) Sign(header, claims map[string]any) (string, error) {
	h, err := json.Marshal(Change(map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "JWT"}, header))
	if err != nil {
		return "", fmt.Errorf("tokentest: sign: %w", err)
	}
	c, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("tokentest: sign: %w", err)
	}
	return k.SignBytes(h, c)
}

// SignBytes makes a token of a header and payload that need not be JSON, by the key's algorithm
// whatever the header says.
func (k *Key) SignBytes(header, payload []byte) (string, error) {
	signed := encode(header) + "." + encode(payload)
	signature, err := k.Signature(signed)
	return signed + "." + encode(signature), err
}

// Signature signs a text as a token's first two segments are signed.
func (k *Key) Signature(signed string) ([]byte, error) {
	if private, ok := k.Private.(ed25519.PrivateKey); ok {
		return ed25519.Sign(private, []byte(signed)), nil
	}
	hash := k.hash()
	h := hash.New()
	h.Write([]byte(signed))
	signature, err := k.signDigest(hash, h.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("tokentest: sign: %w", err)
	}
	return signature, nil
}

func (k *Key) hash() crypto.Hash {
	switch k.Algorithm[2:] {
	case "384":
		return crypto.SHA384
	case "512":
		return crypto.SHA512
	}
	return crypto.SHA256
}

func (k *Key) signDigest(hash crypto.Hash, digest []byte) ([]byte, error) {
	switch private := k.Private.(type) {
	case *ecdsa.PrivateKey:
		der, err := private.Sign(nil, digest, hash) // deterministic: RFC 6979
		if err != nil {
			return nil, err
		}
		return fixed(der, private.Curve)
	case *rsa.PrivateKey:
		if k.Algorithm[0] == 'P' {
			k.mu.Lock()
			defer k.mu.Unlock()
			return rsa.SignPSS(k.random, private, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, private, hash, digest)
	}
	return nil, fmt.Errorf("unknown key type %T", k.Private)
}

// fixed rewrites an ASN.1 signature as RFC 7518, section 3.4, has it.
func fixed(der []byte, curve elliptic.Curve) ([]byte, error) {
	var point struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &point); err != nil {
		return nil, err
	}
	size := (curve.Params().BitSize + 7) / 8
	signature := make([]byte, 2*size)
	point.R.FillBytes(signature[:size])
	point.S.FillBytes(signature[size:])
	return signature, nil
}

func encode(bytes []byte) string { return base64.RawURLEncoding.EncodeToString(bytes) }
