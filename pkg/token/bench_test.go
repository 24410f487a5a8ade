package token_test

import (
	"testing"

	"github.com/sallyport/sallyport/pkg/authz"
)

// BenchmarkVerify measures what a check costs, and what refusals cost: less.
func BenchmarkVerify(b *testing.B) {
	verifier := suiteVerifier(b)
	all := vectors(b)
	for _, bench := range []struct{ file, name string }{
		{"12-alg.json", "rs256"}, {"12-alg.json", "ps256"}, {"12-alg.json", "es256"}, {"12-alg.json", "eddsa"},
		{"37-bad-signature.json", "tampered, rs256"}, {"30-exp.json", "an hour ago"},
		{"18-kid.json", "of no key"}, {"15-crit.json", `crit ["foo"]`}, {"05-limits.json", "all dots"}, {"01-one-credential.json", "none"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			var req *authz.Request
			for _, v := range all[bench.file] {
				if v.Name == bench.name {
					req = v.request(b)
				}
			}
			if req == nil {
				b.Fatal("the vector is gone")
			}
			b.ReportAllocs()
			for b.Loop() {
				verifier.Verify(b.Context(), req)
			}
		})
	}
}
