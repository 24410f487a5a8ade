package token

import (
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A keySet is what an issuer's JWK set meant when it was read. It is immutable.
type keySet struct {
	byID       map[string]*key
	size       int  // keys that may be used
	sole       *key // the only key of the set, for tokens without a kid; nil where there are more
	generation uint64
	fixed      bool      // it stands in the configuration and never changes
	confirmed  time.Time // when the issuer last stood by it

	text     string // the document, to know an unchanged one
	location string // where it was fetched
	etag     string
}

// A key is a public key that may verify, with the algorithms it may verify.
type key struct {
	id         string // "" where the JWK has none
	public     crypto.PublicKey
	algorithms []string
}

// Limits of a JWK set. Real sets hold fewer than ten keys.
const (
	maxSetBytes = 1 << 20
	maxSetKeys  = 100
)

// privateMembers are those that no public set may hold: whoever can read it can sign.
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// errLeaked says that a set holds a private key.
var errLeaked = errors.New("a private or symmetric key lies open in the set; it is not used")

// errNoKeys says that a set has no key to use. Such an answer never replaces a good set.
var errNoKeys = errors.New("no key that can verify a signature")

// parseKeySet reads a JWK set (RFC 7517, section 5). Keys that are not for the use asked for,
// or of an unknown kind, are passed over; a set without any key left is an error. Warnings tell the
// operator what is wrong with single keys.
func parseKeySet(text []byte, use string) (set *keySet, warnings []error, err error) {
	document, err := decodeObject(text)
	if err != nil {
		return nil, nil, fmt.Errorf("JWK set: %w", err)
	}
	members, ok := document["keys"].([]any)
	if !ok {
		return nil, nil, errors.New("JWK set: no array of keys")
	}
	if len(members) > maxSetKeys {
		return nil, nil, fmt.Errorf("JWK set: more than %d keys", maxSetKeys)
	}
	set = &keySet{byID: make(map[string]*key), text: string(text)}
	var all []*key
	for i, member := range members {
		k, err := parseKey(member, use)
		if k != nil {
			all = append(all, k)
			err = errors.Join(err, set.add(k))
		}
		if err != nil {
			warnings = append(warnings, fmt.Errorf("key %d: %w", i, err))
		}
	}
	usable := slices.DeleteFunc(all, func(k *key) bool { return len(k.algorithms) == 0 })
	if len(usable) == 0 {
		return nil, warnings, fmt.Errorf("JWK set: %w", errNoKeys)
	}
	if set.size = len(usable); set.size == 1 {
		set.sole = usable[0]
	}
	return set, warnings, nil
}

// add enters a key under its id. Of two keys with one id neither is used, since the set does not
// say which is meant.
func (s *keySet) add(k *key) error {
	if k.id == "" {
		return nil
	}
	if other, twice := s.byID[k.id]; twice {
		other.algorithms, k.algorithms = nil, nil
		return errors.New("another key has its kid; neither is used")
	}
	s.byID[k.id] = k
	return nil
}

// reuse keeps the keys that were in the set before, and so what was verified with them.
func (s *keySet) reuse(before *keySet) {
	for id, k := range s.byID {
		if old := before.byID[id]; old != nil && k.same(old) {
			s.byID[id] = old
			if s.sole == k {
				s.sole = old
			}
		}
	}
	if k, old := s.sole, before.sole; k != nil && old != nil && k.id == "" && old.id == "" && k.same(old) {
		s.sole = old
	}
}

// same tells whether two keys verify the same signatures.
func (k *key) same(other *key) bool {
	public, ok := k.public.(interface {
		Equal(other crypto.PublicKey) bool
	})
	return ok && public.Equal(other.public) && slices.Equal(k.algorithms, other.algorithms)
}

// parseKey reads one JWK. It gives no key for one that is not meant for us, and a key without
// algorithms for one that must not be used, so that it takes its kid with it.
func parseKey(member any, use string) (*key, error) {
	jwk, ok := member.(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	kid, kidOK := optionalString(jwk, "kid")
	alg, algOK := optionalString(jwk, "alg")
	if !kidOK || !algOK {
		return nil, errors.New("kid or alg is no string")
	}
	for _, name := range privateMembers {
		if _, leaked := jwk[name]; leaked {
			return &key{id: kid}, errLeaked
		}
	}
	if kty := jwk["kty"]; !isFor(use, jwk) || kty != "RSA" && kty != "EC" && kty != "OKP" {
		return nil, nil
	}
	public, err := parsePublicKey(jwk)
	if err != nil {
		return nil, err
	}
	if kid == "" && use == useSVID {
		return nil, errors.New("without kid, which SPIFFE demands; it is not used")
	}
	able := algorithmsOf(public)
	if len(able) == 0 {
		return nil, errors.New("of a size, exponent or curve that Sallyport does not accept")
	}
	if able = allowed(able, alg); len(able) == 0 {
		return nil, nil // of another algorithm, such as RSA-OAEP
	}
	return &key{id: kid, public: public, algorithms: able}, nil
}

// isFor tells whether use and key_ops (RFC 7517, sections 4.2 and 4.3) let a key verify. A key
// without use may, except in a SPIFFE bundle, where such a key is to be passed over (SPIFFE Trust
// Domain and Bundle, section 4.2.2).
func isFor(use string, jwk map[string]any) bool {
	if said, present := jwk["use"]; present && said != use || !present && use == useSVID {
		return false
	}
	value, present := jwk["key_ops"]
	if !present {
		return true
	}
	ops, _ := value.([]any)
	return slices.Contains(ops, any("verify"))
}

func optionalString(object map[string]any, name string) (text string, ok bool) {
	value, present := object[name]
	if !present {
		return "", true
	}
	text, ok = value.(string)
	return text, ok
}

// find picks the key for a kid. Where the token names no key, or the issuer does not name its own,
// a token is verified only if there is no choice.
func (s *keySet) find(kid string) *key {
	if s.sole != nil && (kid == "" || s.sole.id == "") {
		return s.sole
	}
	if k := s.byID[kid]; k != nil && len(k.algorithms) > 0 {
		return k
	}
	return nil
}
