package policy

import (
	"errors"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz"
)

// readStepUp reads the two keys by which a denial asks for another authentication (RFC 9470).
func (a *answer) readStepUp(name string, v ast.Value) (err error) {
	if a.stepUp == nil {
		a.stepUp = &authz.StepUp{}
	}
	if name == "acr_values" {
		a.stepUp.ACRValues, err = words(v)
		return err
	}
	seconds, err := numeric(v)
	if err != nil {
		return err
	}
	n, ok := seconds.Int()
	if !ok || n < 0 {
		return errors.New("not a whole number of seconds, 0 or more")
	}
	a.stepUp.MaxAge = &n
	return nil
}

// words reads a list of what a challenge joins with spaces: scope-tokens (RFC 6749, section 3.3),
// and acr values, which are held to the same letters.
func words(v ast.Value) ([]string, error) {
	texts, err := list(v)
	if err != nil {
		return nil, err
	}
	for _, s := range texts {
		if s == "" || strings.ContainsFunc(s, notScope) {
			return nil, errors.New("a word that is empty, or has a character that no scope has")
		}
	}
	return texts, nil
}

func notScope(r rune) bool { return r <= 0x20 || r > 0x7e || r == '"' || r == '\\' }
