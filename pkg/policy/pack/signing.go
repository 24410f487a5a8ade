package pack

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/keys"
)

// Signing says how a bundle is signed, in the words of opa build.
type Signing struct {
	Key        string // a PEM file, a PEM text, a file with a secret, or a secret (HS256 and its kin)
	Algorithm  string // "" means RS256
	KeyID      string // the name of the key that verifies
	ClaimsFile string // a JSON file with more claims; keyid must then be among them
}

func (s *Signing) config() (*bundle.SigningConfig, error) {
	if s == nil {
		return nil, nil
	}
	algorithm := cmp.Or(s.Algorithm, defaultAlgorithm)
	if err := checkKey("signing key", s.Key, algorithm); err != nil {
		return nil, err
	}
	config := bundle.NewSigningConfig(s.Key, algorithm, s.ClaimsFile)
	if _, err := config.GetPrivateKey(); err != nil { // the parser quotes no key
		return nil, fmt.Errorf("policy: the signing key is no private key for %s: %w", algorithm, err)
	}
	return config, nil
}

// Verification says how the bundles that are read are verified.
type Verification struct {
	Key       string // as in Signing, but the public one
	Algorithm string // "" means RS256
	KeyID     string
	Scope     string   // that the signature must have
	Exclude   []string // files that need no signature
}

func (v *Verification) config() (*bundle.VerificationConfig, error) {
	if v == nil {
		return nil, nil
	}
	algorithm := cmp.Or(v.Algorithm, defaultAlgorithm)
	if err := checkKey("verification key", v.Key, algorithm); err != nil {
		return nil, err
	}
	key, err := keys.NewKeyConfig(v.Key, algorithm, v.Scope)
	if err != nil {
		return nil, fmt.Errorf("policy: read the verification key: %w", err)
	}
	return bundle.NewVerificationConfig(map[string]*bundle.KeyConfig{v.KeyID: key}, v.KeyID, v.Scope, v.Exclude), nil
}

// defaultAlgorithm is opa build's.
const defaultAlgorithm = "RS256"

// checkKey refuses what OPA would take for a key by mistake: to it, a file that is not there is the
// secret itself. The text of the key is in no error.
func checkKey(what, key, algorithm string) error {
	if !keys.IsSupportedAlgorithm(algorithm) {
		return fmt.Errorf("policy: there is no signing algorithm %q; use RS256, ES256, PS256, HS256 or one of their kin", algorithm)
	}
	if strings.HasPrefix(key, "-----BEGIN") {
		return nil
	}
	info, err := os.Stat(key)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("policy: the %s is a directory", what)
	case err == nil:
		return nil
	case !strings.HasPrefix(algorithm, "HS"):
		return fmt.Errorf("policy: the %s is neither a file that is there nor PEM, which %s needs", what, algorithm)
	case strings.ContainsAny(key, `/\`), strings.HasSuffix(key, ".pem"), strings.HasSuffix(key, ".key"):
		return fmt.Errorf("policy: the %s names a file that is not there; a secret has no slash in it and does not end in .pem or .key", what)
	case key == "":
		return errors.New("policy: the " + what + " is empty")
	}
	return nil
}
