package differential_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// vectors is where the test vectors of pkg/token are.
const vectors = "../../pkg/token/testdata/vectors"

// standing is the clock of the mutated tokens.
const standing = 1_900_000_000

func verifier(t *testing.T, now time.Time, rules ...token.Rule) *token.Verifier {
	t.Helper()
	v, err := token.New(t.Context(), token.Config{
		Rules: rules, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

func bearer(text string) *authz.Request {
	return &authz.Request{HTTP: &authz.HTTP{Method: "GET", Headers: authz.Headers{"authorization": {"Bearer " + text}}}}
}

// ask gives what the witnesses say to a token: what each read, and whether it took it.
func ask(b believed, text string) (claims []map[string]any, errs []error) {
	for _, w := range witnesses {
		c, err := w.verify(b, text)
		claims, errs = append(claims, c), append(errs, err)
	}
	return claims, errs
}

// agree holds a token that pkg/token took to both witnesses.
func agree(ours map[string]any, b believed, text string) error {
	claims, errs := ask(b, text)
	for i, w := range witnesses {
		if errs[i] != nil {
			return fmt.Errorf("%s refuses what we accept: %w", w.name, errs[i])
		}
		if diff := cmp.Diff(floats(claims[i]), floats(ours)); diff != "" {
			return fmt.Errorf("%s reads other claims (-theirs +ours):\n%s", w.name, diff)
		}
	}
	return nil
}

// Whatever pkg/token makes of thousands of wrong and right tokens, it accepts none that go-jose or
// golang-jwt refuses, and reads in it what they read.
func TestMutations(t *testing.T) {
	all, keys, mutations := tally{}, make(map[string]*tokentest.Key), mutations()
	for _, alg := range asymmetric {
		keys[alg] = newKey(t, alg)
	}
	for i, alg := range asymmetric {
		t.Run(alg, func(t *testing.T) {
			counts := tally{}
			for k, r := range rulesFor(t, alg, keys) {
				b, v := believe(t, r.Rule, time.Unix(standing, 0)), verifier(t, time.Unix(standing, 0), r.Rule)
				for j, m := range mutations {
					for round := k; round < rounds; round += 2 {
						rng := rand.New(rand.NewPCG(uint64(i*len(mutations)+j), uint64(round))) // the same every time
						judge(t, counts, v, b, m.name, m.apply(newSubject(rng, r)))
					}
				}
			}
			if counts.accepted() < rounds {
				t.Errorf("only %d tokens were accepted: the others cannot show much", counts.accepted())
			}
			all.add(counts)
		})
	}
	t.Logf("%d tokens, %d accepted by all. Refused by pkg/token:\n%s", all.total(), all.accepted(), all)
}

// judge verifies one token and holds the verdict to the witnesses.
func judge(t *testing.T, counts tally, v *token.Verifier, b believed, what, text string) {
	t.Helper()
	id, err := v.Verify(t.Context(), bearer(text))
	if err == nil {
		if id.Tokens["users"].Status != authz.TokenValid {
			t.Fatalf("%s: no error, and the slot is %q\n%s", what, id.Tokens["users"].Status, text)
		}
		counts[verdict{authz.Allowed, len(witnesses)}]++
		if err := agree(id.Tokens["users"].Claims, b, text); err != nil {
			t.Errorf("%s: %v\n%s", what, err, text)
		}
		return
	}
	_, errs := ask(b, text)
	takers := len(slices.DeleteFunc(errs, func(err error) bool { return err != nil }))
	reason := authz.ReasonOf(err)
	counts[verdict{reason, takers}]++
	if reason == authz.TokenSignature && takers == len(witnesses) && what != foreignSalt {
		t.Errorf("%s: the signature that we refuse is good: both witnesses take it\n%s", what, text)
	}
}

// keyed is a rule, and the keys behind it.
type keyed struct {
	token.Rule
	key    *tokentest.Key
	others []*tokentest.Key
}

// rulesFor are two rules for tokens of an algorithm: one has a key for every algorithm, the other
// a single key without an id.
func rulesFor(t *testing.T, alg string, keys map[string]*tokentest.Key) [2]keyed {
	t.Helper()
	key := keys[alg]
	var others []*tokentest.Key
	for _, other := range asymmetric {
		if other != alg {
			others = append(others, keys[other])
		}
	}
	bare := key.JWK()
	maps.DeleteFunc(bare, func(name string, _ any) bool { return name == "kid" || name == "alg" || name == "use" })
	r := token.Rule{Name: "users", Issuer: "https://issuer.example", Audiences: []string{"orders", "carts"}}
	many, one := r, r
	many.JWKS = written(t, tokentest.KeySet(append(others, key)...))
	one.JWKS = written(t, map[string]any{"keys": []any{bare}})
	one.Algorithms = []string{alg} // a bare RSA key is for six algorithms
	return [2]keyed{{many, key, others}, {one, key, others}}
}

func newKey(t *testing.T, alg string) *tokentest.Key {
	t.Helper()
	key, err := tokentest.NewKey(strings.ToLower(alg), alg, "differential")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func written(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every vector of pkg/token that is to be accepted is accepted by the witnesses too.
func TestVectors(t *testing.T) {
	var suite struct {
		Now   int64
		Rules []token.Rule
	}
	read(t, filepath.Join(vectors, "suite.json"), &suite)
	now := time.Unix(suite.Now, 0)
	v, rules := verifier(t, now, suite.Rules...), make(map[string]believed)
	for _, r := range suite.Rules {
		rules[r.Name] = believe(t, r, now)
	}
	files, err := filepath.Glob(filepath.Join(vectors, "[0-9]*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	counts := tally{}
	for _, file := range files {
		var some []vector
		read(t, file, &some)
		for _, each := range some {
			t.Run(filepath.Base(file)+"/"+each.Name, func(t *testing.T) { each.judge(t, counts, v, rules) })
		}
	}
	t.Logf("%d vectors, %d accepted by all. Refused by pkg/token:\n%s", counts.total(), counts.accepted(), counts)
}

// A vector is as pkg/token's own runner has it.
type vector struct {
	Name        string
	Path        string
	Headers     authz.Headers
	Certificate string
}

func (each vector) judge(t *testing.T, counts tally, v *token.Verifier, rules map[string]believed) {
	req := &authz.Request{
		Source: authz.Peer{Certificate: each.Certificate},
		HTTP:   &authz.HTTP{Method: "GET", Headers: each.Headers},
	}
	if each.Path != "" {
		path, err := authz.ParsePath(each.Path)
		if err != nil {
			t.Fatal(err)
		}
		req.HTTP.Path = path
	}
	id, err := v.Verify(t.Context(), req)
	found := candidates(req)
	if err != nil {
		counts[verdict{authz.ReasonOf(err), takers(rules, found)}]++
		return
	}
	counts[verdict{authz.Allowed, len(witnesses)}]++
	for name, slot := range id.Tokens {
		if slot.Status != authz.TokenValid {
			continue
		}
		if slot.Header["alg"] == "Ed25519" {
			t.Log("not judged: no witness knows the alg Ed25519")
			continue
		}
		var refusals []error
		for _, text := range found {
			refusals = append(refusals, agree(slot.Claims, rules[name], text))
		}
		if !slices.Contains(refusals, nil) {
			t.Errorf("slot %q is valid, and no token on the request is, to both witnesses: %v", name, refusals)
		}
	}
}

// candidates are the pieces of a request that could be tokens, wherever they stand.
func candidates(req *authz.Request) (found []string) {
	var text strings.Builder
	for _, values := range []map[string][]string{req.HTTP.Headers, req.HTTP.Path.Query} {
		for _, value := range values {
			text.WriteString(" " + strings.Join(value, " "))
		}
	}
	for piece := range strings.FieldsFuncSeq(text.String(), func(r rune) bool { return strings.ContainsRune(" =;,", r) }) {
		if strings.Count(piece, ".") == 2 {
			found = append(found, piece)
		}
	}
	return found
}

// takers is how many witnesses take any of the tokens for any of the rules.
func takers(rules map[string]believed, found []string) (most int) {
	for _, b := range rules {
		for _, text := range found {
			_, errs := ask(b, text)
			most = max(most, len(slices.DeleteFunc(errs, func(err error) bool { return err != nil })))
		}
	}
	return most
}

func read(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
