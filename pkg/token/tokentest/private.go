package tokentest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// PrivateJWK is the key with its private half (RFC 7518, section 6; RFC 8037). Whoever has it signs
// in the issuer's name.
func (k *Key) PrivateJWK() (map[string]any, error) {
	jwk := k.JWK()
	switch private := k.Private.(type) {
	case *rsa.PrivateKey:
		if len(private.Primes) != 2 {
			return nil, errors.New("tokentest: a key of more than two primes")
		}
		for name, n := range map[string]*big.Int{
			"d": private.D, "p": private.Primes[0], "q": private.Primes[1],
			"dp": private.Precomputed.Dp, "dq": private.Precomputed.Dq, "qi": private.Precomputed.Qinv,
		} {
			jwk[name] = encode(n.Bytes())
		}
	case *ecdsa.PrivateKey:
		d, err := private.Bytes()
		if err != nil {
			return nil, fmt.Errorf("tokentest: private key: %w", err)
		}
		jwk["d"] = encode(d)
	case ed25519.PrivateKey:
		jwk["d"] = encode(private.Seed())
	}
	return jwk, nil
}

// A privateJWK is what PrivateJWK writes.
type privateJWK struct {
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	N, E      string
	D, P, Q   string
}

// ParseKey reads what PrivateJWK made. The algorithm is the one that the key says it is for, and no
// error quotes the key.
func ParseKey(text []byte) (*Key, error) {
	var jwk privateJWK
	if json.Unmarshal(text, &jwk) != nil || jwk.ID == "" || jwk.D == "" {
		return nil, errors.New("tokentest: not a private JWK with alg and kid")
	}
	k := &Key{ID: jwk.ID, Algorithm: jwk.Algorithm, random: rand.Reader}
	var err error
	switch jwk.Algorithm {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		k.Private, err = jwk.rsa()
	case "ES256":
		k.Private, err = jwk.ecdsa(elliptic.P256())
	case "ES384":
		k.Private, err = jwk.ecdsa(elliptic.P384())
	case "ES512":
		k.Private, err = jwk.ecdsa(elliptic.P521())
	case "EdDSA":
		k.Private, err = jwk.ed25519()
	default:
		err = fmt.Errorf("unknown algorithm %q", jwk.Algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("tokentest: private JWK: %w", err)
	}
	return k, nil
}

func (j privateJWK) rsa() (*rsa.PrivateKey, error) {
	var numbers []*big.Int
	for _, text := range []string{j.N, j.E, j.D, j.P, j.Q} {
		bytes, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(bytes) == 0 {
			return nil, errors.New("not an RSA key")
		}
		numbers = append(numbers, new(big.Int).SetBytes(bytes))
	}
	n, e, d := numbers[0], numbers[1], numbers[2]
	if e.BitLen() > 31 {
		return nil, errors.New("not an RSA key")
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(e.Int64())}, D: d, Primes: numbers[3:]}
	if err := key.Validate(); err != nil {
		return nil, errors.New("not an RSA key")
	}
	key.Precompute()
	return key, nil
}

func (j privateJWK) ecdsa(curve elliptic.Curve) (*ecdsa.PrivateKey, error) {
	d, err := base64.RawURLEncoding.DecodeString(j.D)
	if err != nil {
		return nil, errors.New("not a key of this curve")
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, d)
	if err != nil {
		return nil, errors.New("not a key of this curve")
	}
	return key, nil
}

func (j privateJWK) ed25519() (ed25519.PrivateKey, error) {
	seed, err := base64.RawURLEncoding.DecodeString(j.D)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, errors.New("not an Ed25519 key")
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// Thumbprint is the key's name by its own bytes (RFC 7638, with SHA-256).
func (k *Key) Thumbprint() (string, error) {
	jwk := k.JWK()
	for _, name := range []string{"kid", "alg", "use"} {
		delete(jwk, name)
	}
	text, err := json.Marshal(jwk) // in the order of the names, without spaces
	if err != nil {
		return "", fmt.Errorf("tokentest: thumbprint: %w", err)
	}
	sum := sha256.Sum256(text)
	return encode(sum[:]), nil
}
