package token_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/pkg/authz"
)

// FuzzVerify throws bytes at the places, the splitter and the decoders. What was not signed by a
// key of the suite must not be valid, and nothing may panic.
func FuzzVerify(f *testing.F) {
	verifier := suiteVerifier(f)
	signed := make(map[string]bool) // the texts that a key may have signed, whatever else was wrong with the request
	for _, some := range vectors(f) {
		for _, v := range some {
			f.Add(strings.Join(v.Headers["authorization"], "\n"), strings.Join(v.Headers["cookie"], "\n"), strings.Join(v.Headers["x-workload-token"], "\n"), v.Path)
			if v.Want == authz.TokenSignature {
				continue
			}
			for _, text := range tokens(v.request(f)) {
				signed[text] = true
			}
		}
	}
	f.Fuzz(func(t *testing.T, authorization, cookie, own, path string) {
		headers := authz.Headers{}
		for name, value := range map[string]string{"authorization": authorization, "cookie": cookie, "x-workload-token": own} {
			if value != "" {
				headers[name] = strings.Split(value, "\n")
			}
		}
		req := request(headers)
		parsed, err := authz.ParsePath(path)
		if err != nil {
			return
		}
		req.HTTP.Path = parsed
		id, err := verifier.Verify(t.Context(), req)
		if err != nil {
			return
		}
		for name, token := range id.Tokens {
			if token.Status == authz.TokenValid && !anySigned(signed, tokens(req)) {
				t.Errorf("slot %q is valid with a token that was never signed", name)
			}
		}
	})
}

// tokens are the pieces of a request that could be tokens.
func tokens(req *authz.Request) []string {
	text := ""
	for _, values := range req.HTTP.Headers {
		text += " " + strings.Join(values, " ")
	}
	for _, values := range req.HTTP.Path.Query {
		text += " " + strings.Join(values, " ")
	}
	var found []string
	for piece := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" =;&?", r) }) {
		if strings.Count(piece, ".") == 2 {
			found = append(found, piece)
		}
	}
	return found
}

func anySigned(signed map[string]bool, texts []string) bool {
	for _, text := range texts {
		if signed[text] {
			return true
		}
	}
	return false
}
