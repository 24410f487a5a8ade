package token

import (
	"errors"
	"testing"
)

// TestGuard is inside the package, because no test can have a name that resolves to these addresses.
func TestGuard(t *testing.T) {
	for address, want := range map[string]error{
		"169.254.169.254:80":         errGuarded,
		"[fe80::1%eth0]:443":         errGuarded,
		"[::ffff:169.254.169.254]:1": errGuarded,
		"[fd00:ec2::254]:80":         errGuarded,
		"100.100.100.200:80":         errGuarded,
		"168.63.129.16:80":           errGuarded,
		"0.0.0.0:80":                 errGuarded,
		"[::]:80":                    errGuarded,
		"224.0.0.1:80":               errGuarded,
		"nonsense":                   errGuarded,
		"127.0.0.1:80":               nil,
		"10.1.2.3:443":               nil,
		"192.0.2.1:443":              nil,
		"[2001:db8::1]:443":          nil,
	} {
		if got := guard("tcp", address, nil); !errors.Is(got, want) {
			t.Errorf("guard(%q) = %v, want %v", address, got, want)
		}
	}
}
