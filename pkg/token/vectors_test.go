package token_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
)

//go:generate go run ./tokentest/vectors -out testdata/vectors

// A vector is a request, and the reason why it is refused.
type vector struct {
	Name        string
	Path        string
	Headers     map[string][]string
	Certificate string
	Want        authz.Reason
	Valid       []string
}

// suiteVerifier is what all vectors are for.
func suiteVerifier(t testing.TB) *token.Verifier {
	t.Helper()
	return suiteVerifierWith(t, 0)
}

// suiteVerifierWith is suiteVerifier with a cache of so many bytes.
func suiteVerifierWith(t testing.TB, cacheBytes int) *token.Verifier {
	t.Helper()
	var suite struct {
		Now   int64
		Rules []token.Rule
	}
	readJSON(t, filepath.Join("testdata", "vectors", "suite.json"), &suite)
	v, err := token.New(t.Context(), token.Config{
		Rules:      suite.Rules,
		CacheBytes: cacheBytes,
		Logger:     slog.New(slog.DiscardHandler),
		Now:        func() time.Time { return time.Unix(suite.Now, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// vectors are all vectors, by file.
func vectors(t testing.TB) map[string][]vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "vectors", "[0-9]*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	all := make(map[string][]vector)
	for _, file := range files {
		var some []vector
		readJSON(t, file, &some)
		all[filepath.Base(file)] = some
	}
	return all
}

func (v vector) request(t testing.TB) *authz.Request {
	t.Helper()
	r := request(authz.Headers(v.Headers))
	r.Source.Certificate = v.Certificate
	if v.Path != "" {
		path, err := authz.ParsePath(v.Path)
		if err != nil {
			t.Fatal(err)
		}
		r.HTTP.Path = path
	}
	return r
}

// TestVectors asks every vector twice: the second time the good ones come out of the cache.
func TestVectors(t *testing.T) {
	verifier := suiteVerifier(t)
	count := 0
	for file, some := range vectors(t) {
		for _, v := range some {
			count++
			t.Run(file+"/"+v.Name, func(t *testing.T) {
				v.check(t, verifier)
				v.check(t, verifier)
			})
		}
	}
	if count < 150 {
		t.Errorf("%d vectors, want at least 150", count)
	}
}

func (v vector) check(t *testing.T, verifier *token.Verifier) {
	t.Helper()
	id, err := verifier.Verify(t.Context(), v.request(t))
	if got := reasonOf(err); got != v.Want {
		t.Errorf("reason %q, want %q (%v)", got, v.Want, err)
	}
	slots := make(map[authz.TokenStatus][]string)
	for _, name := range slices.Sorted(maps.Keys(id.Tokens)) {
		status := id.Tokens[name].Status
		slots[status] = append(slots[status], name)
	}
	if err != nil {
		if len(slots[authz.TokenInvalid]) == 0 {
			t.Error("no slot is invalid")
		}
		return
	}
	if diff := cmp.Diff(v.Valid, slots[authz.TokenValid]); diff != "" {
		t.Errorf("valid slots (-want +got):\n%s", diff)
	}
}

// reasonOf is the reason of a refusal, or authz.Allowed.
func reasonOf(err error) authz.Reason {
	if err == nil {
		return authz.Allowed
	}
	return authz.ReasonOf(err)
}
