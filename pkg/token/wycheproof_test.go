package token_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token"
)

// A wycheproofGroup is a key and what was signed with it, well or badly. (The files with which
// hack/differential tests the whole door have the same form.)
type wycheproofGroup struct {
	Comment string
	Public  json.RawMessage
	Private json.RawMessage
	Tests   []struct {
		ID      int `json:"tcId"`
		Comment string
		JWS     json.RawMessage
		Result  string
	}
}

// wycheproof reads a file of Project Wycheproof's vectors, at the version that hack/differential
// pins. They lie in the module cache and not in this repository.
func wycheproof(t *testing.T, file string) []wycheproofGroup {
	t.Helper()
	const module = "github.com/c2sp/wycheproof"
	fetch := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module)
	fetch.Dir = filepath.Join("..", "..", "hack", "differential")
	output, err := fetch.Output()
	var downloaded struct{ Dir string }
	if err == nil {
		err = json.Unmarshal(output, &downloaded)
	}
	if err != nil || downloaded.Dir == "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no %s: %v", module, err)
		}
		fmt.Fprintf(os.Stderr, "\n*** %s is NOT run: %s cannot be had: %v\n", t.Name(), module, err)
		t.Skip("no vectors")
	}
	var vectors struct{ TestGroups []wycheproofGroup }
	readJSON(t, filepath.Join(downloaded.Dir, "testvectors_v1", file), &vectors)
	return vectors.TestGroups
}

// keySet is the group's public key as a set. A symmetric key has no public half.
func (g wycheproofGroup) keySet() string {
	key := string(g.Public)
	if key == "" {
		key = string(g.Private)
	}
	if strings.HasPrefix(key, `{"keys"`) {
		return key
	}
	return `{"keys":[` + key + `]}`
}

// Signatures that the public vectors call invalid are never good, and those they call valid are
// refused for a stated policy alone.
func TestWycheproofSignatures(t *testing.T) {
	verdicts := make(map[authz.Reason]int)
	for _, g := range wycheproof(t, "json_web_signature_test.json") {
		for _, v := range g.Tests {
			t.Run(fmt.Sprintf("%d/%s/%s", v.ID, g.Comment, v.Comment), func(t *testing.T) {
				var text string
				if json.Unmarshal(v.JWS, &text) != nil {
					text = string(v.JWS) // in JSON serialization
				}
				got, err := authz.Allowed, token.CheckSignature(g.keySet(), text)
				if err != nil {
					got = authz.ReasonOf(err)
				}
				verdicts[got]++
				switch want := policy(g.keySet(), text); {
				case v.Result == "valid" && got != want:
					t.Errorf("%q, want %q: %v", got, want, err)
				case v.Result != "valid" && err == nil:
					t.Error("accepted")
				}
			})
		}
	}
	t.Logf("verdicts: %v", verdicts)
	if verdicts[authz.Allowed] < 20 || verdicts[authz.TokenSignature] < 250 {
		t.Errorf("few signatures were judged at all: %v", verdicts)
	}
}

// policy is what we say to a vector that is valid: there is more that we refuse.
func policy(jwks, text string) authz.Reason {
	has := func(name, value string) bool { return strings.Contains(strings.ReplaceAll(jwks, " ", ""), `"`+name+`":"`+value+`"`) }
	switch {
	case has("kty", "oct"), has("alg", "ES521"):
		return authz.TokenKeysUnavailable // no HMAC, and no algorithm that does not exist: no key to use
	case strings.Contains(text, ".."):
		return authz.TokenMalformed // a token has claims
	case has("alg", "PS256") && strings.HasPrefix(text, "eyJhbGciOiJQUzM4NC"):
		return authz.TokenKeyUnknown // a header of PS384, and a key that says it is for another algorithm
	}
	return authz.Allowed
}
