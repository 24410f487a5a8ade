package token

import "math/big"

// isROCA tells an RSA modulus that Infineon's library made (CVE-2017-15361), whose factors can be
// found: modulo every small prime it is a power of 65537. Of moduli made otherwise not one in a
// hundred million is.
func isROCA(modulus *big.Int) bool {
	for prime := int64(3); prime <= 167; prime += 2 {
		p := big.NewInt(prime)
		if p.ProbablyPrime(0) && !isPower(new(big.Int).Mod(modulus, p).Int64(), prime) {
			return false
		}
	}
	return true
}

// isPower tells whether n is a power of 65537 modulo a prime.
func isPower(n, prime int64) bool {
	for power, first := int64(1), true; first || power != 1; first = false {
		if power == n {
			return true
		}
		power = power * 65537 % prime
	}
	return false
}
