package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms below
	_ "crypto/sha512"
	"math"
	"math/big"
	"slices"
)

// An algorithm checks signatures of one JWS algorithm (RFC 7518, section 3.1; RFC 8037).
type algorithm struct {
	hash  crypto.Hash
	check func(key crypto.PublicKey, hash crypto.Hash, digest, signature []byte) bool
}

// algorithms are all that Sallyport verifies. HMAC is not among them: whoever can check such a
// signature can make one. "none" is not among them either.
var algorithms = map[string]algorithm{
	"RS256": {crypto.SHA256, checkPKCS1},
	"RS384": {crypto.SHA384, checkPKCS1},
	"RS512": {crypto.SHA512, checkPKCS1},
	"PS256": {crypto.SHA256, checkPSS},
	"PS384": {crypto.SHA384, checkPSS},
	"PS512": {crypto.SHA512, checkPSS},
	"ES256": {crypto.SHA256, checkECDSA},
	"ES384": {crypto.SHA384, checkECDSA},
	"ES512": {crypto.SHA512, checkECDSA},
	"EdDSA": {0, checkEd25519},
}

// canonicalAlgorithm is the name under which algorithms lists alg. RFC 9864 renamed EdDSA with
// Ed25519, the only curve we verify, to "Ed25519"; both names mean the same here.
func canonicalAlgorithm(alg string) (name string, known bool) {
	if alg == "Ed25519" {
		return "EdDSA", true
	}
	_, known = algorithms[alg]
	return alg, known
}

// verify checks a signature over the bytes as they came.
func (a algorithm) verify(key crypto.PublicKey, signed string, signature []byte) bool {
	if a.hash == 0 {
		return a.check(key, 0, []byte(signed), signature)
	}
	h := a.hash.New()
	h.Write([]byte(signed))
	return a.check(key, a.hash, h.Sum(nil), signature)
}

func checkPKCS1(key crypto.PublicKey, hash crypto.Hash, digest, signature []byte) bool {
	k, ok := key.(*rsa.PublicKey)
	return ok && rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil
}

// checkPSS demands a salt as long as the hash (RFC 7518, section 3.5).
func checkPSS(key crypto.PublicKey, hash crypto.Hash, digest, signature []byte) bool {
	k, ok := key.(*rsa.PublicKey)
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	return ok && rsa.VerifyPSS(k, hash, digest, signature, options) == nil
}

// checkECDSA demands R and S at their full length (RFC 7518, section 3.4). ecdsa.Verify refuses
// those that are zero or not below the order.
func checkECDSA(key crypto.PublicKey, _ crypto.Hash, digest, signature []byte) bool {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return false
	}
	size := (k.Curve.Params().BitSize + 7) / 8
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(k, digest, r, s)
}

func checkEd25519(key crypto.PublicKey, _ crypto.Hash, message, signature []byte) bool {
	k, ok := key.(ed25519.PublicKey)
	return ok && ed25519.Verify(k, message, signature)
}

// Bounds of an RSA key. Below 2048 bits a signature proves nothing (RFC 7518, section 3.3); above
// 8192 one costs a millisecond. The exponent's lower bound is NIST's (SP 800-56B, section 6.2).
const (
	minRSABits     = 2048
	maxRSABits     = 8192
	minRSAExponent = 65537
)

// algorithmsOf lists the algorithms that a public key may verify; none for a key that is too weak,
// too dear or of a kind that Sallyport does not know. It binds each curve to its one algorithm
// (RFC 7518, section 3.4).
func algorithmsOf(key crypto.PublicKey) []string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		sized := minRSABits <= bits && bits <= maxRSABits && k.N.Bit(0) == 1
		if !sized || k.E < minRSAExponent || k.E > math.MaxInt32 || k.E%2 == 0 || isROCA(k.N) {
			return nil
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		if _, err := k.ECDH(); err != nil { // not a point of its curve
			return nil
		}
		switch k.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		case elliptic.P521():
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		if len(k) == ed25519.PublicKeySize {
			return []string{"EdDSA"}
		}
	}
	return nil
}

// allowed narrows what a key may verify to what its JWK says in alg, if it says so.
func allowed(able []string, alg string) []string {
	name, _ := canonicalAlgorithm(alg)
	switch {
	case alg == "":
		return able
	case slices.Contains(able, name):
		return []string{name}
	}
	return nil
}
