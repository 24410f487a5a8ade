package token

import "math/big"

// maxROCAPrime is the last of the 126 primes that the flaw shows by in a modulus of 1984 bits or more.
const maxROCAPrime = 701

// isROCA tells an RSA modulus that Infineon's library made (CVE-2017-15361), whose factors can be
// found: modulo each of those primes it is a power of 65537. No modulus made otherwise is by chance.
func isROCA(modulus *big.Int) bool {
	for prime := int64(3); prime <= maxROCAPrime; prime += 2 {
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
