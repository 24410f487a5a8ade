package token_test

import "testing"

// BenchmarkVerify measures what a check costs without the cache, and what refusals cost: less.
func BenchmarkVerify(b *testing.B) {
	verifier, all := suiteVerifierWith(b, -1), vectors(b)
	for _, bench := range []struct{ file, name string }{
		{"12-alg.json", "rs256"}, {"12-alg.json", "ps256"}, {"12-alg.json", "es256"}, {"12-alg.json", "eddsa"},
		{"37-bad-signature.json", "tampered, rs256"}, {"30-exp.json", "an hour ago"}, {"33-aud.json", "another"},
		{"41-cnf.json", "another certificate"}, {"18-kid.json", "of no key"}, {"15-crit.json", `crit ["foo"]`},
		{"05-limits.json", "all dots"}, {"01-one-credential.json", "none"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			req := find(b, all[bench.file], bench.name).request(b)
			b.ReportAllocs()
			for b.Loop() {
				verifier.Verify(b.Context(), req)
			}
		})
	}
}

// BenchmarkCached measures what a token costs that comes again: a hash of its text and a look at
// what may have changed. Beside "none", a request without any token, it shows what of that is the
// Identity's own.
func BenchmarkCached(b *testing.B) {
	verifier, all := suiteVerifierWith(b, 0), vectors(b)
	for _, bench := range []struct{ file, name string }{
		{"12-alg.json", "rs256"}, {"12-alg.json", "es256"}, {"12-alg.json", "eddsa"}, {"41-cnf.json", "the certificate"},
		{"39-slots.json", "user and workload"}, {"01-one-credential.json", "none"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			req := find(b, all[bench.file], bench.name).request(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verifier.Verify(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("rs256, all cores", func(b *testing.B) {
		req := find(b, all["12-alg.json"], "rs256").request(b)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				verifier.Verify(b.Context(), req)
			}
		})
	})
}

func find(t testing.TB, some []vector, name string) vector {
	t.Helper()
	for _, v := range some {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("the vector %q is gone", name)
	return vector{}
}

// TestRequestsAllocate holds the cached path to its promise: beyond the Identity, nothing. What a
// request without a token allocates is the Identity's, and the header to be removed one more.
func TestRequestsAllocate(t *testing.T) {
	verifier, all := suiteVerifierWith(t, 0), vectors(t)
	count := func(file, name string) float64 {
		req := find(t, all[file], name).request(t)
		return testing.AllocsPerRun(1000, func() { verifier.Verify(t.Context(), req) })
	}
	none, hit := count("01-one-credential.json", "none"), count("12-alg.json", "rs256")
	if hit > none+1 {
		t.Errorf("%v allocations for a token in the cache, %v for none", hit, none)
	}
	if refused := count("37-bad-signature.json", "tampered, rs256"); refused < hit {
		t.Errorf("%v allocations for a bad signature: was it verified at all?", refused)
	}
}
