package token

import (
	"encoding/json"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A verdict is what a full verification found out about a token that passed it. It is immutable
// and does not hold the token. It may be used again for the very same text as long as its key
// stands and what changes with time and from request to request is checked anew (see
// [Verifier.admit]).
type verdict struct {
	rule    *rule
	key     *key
	kid     string // by which the token named its key, "" where it did not
	dates   times
	marks   marks
	binding binding
	claims  map[string]any
	header  map[string]any // what policy and records see of it
	tells   authz.Mutation // the headers that the rule writes for it
}

// newVerdict gathers what is known of a token that was verified.
func newVerdict(s *sighting, dates times) (*verdict, error) {
	r, t := s.rule, s.token
	v := &verdict{
		rule: r, key: s.key, kid: t.kid, dates: dates, marks: marksOf(t.claims, dates),
		claims: r.shownClaims(t.claims), header: t.shownHeader(),
	}
	if _, present := t.claims["cnf"]; present {
		s.trace.next(CheckBinding)
		var err error
		if v.binding, err = readBinding(t.claims); err != nil {
			return nil, err
		}
	}
	if len(r.outputs) > 0 || r.payloadHeader != "" {
		s.trace.next(CheckHeaders)
	}
	return v, r.tell(t, &v.tells)
}

// keyStands tells whether a verification now would use the very key that the verdict rests on. It
// is how a key that is withdrawn, or exchanged under its id, takes all its verdicts with it, while
// a new key beside it costs nobody a verification (see [keySet.reuse]).
func (v *verdict) keyStands() bool {
	set, err := v.rule.keys.usable()
	return err == nil && set.find(v.kid) == v.key
}

// slot is what the identity says about the token.
func (v *verdict) slot() authz.Token {
	return authz.Token{Status: authz.TokenValid, Issuer: v.rule.issuer, Claims: v.claims, Header: v.header}
}

// Sizes in memory, of a 64-bit machine and rounded up, so that a bound on their sum is one on
// memory: a verdict with its entry in the cache, a value in an interface, a map of up to eight
// members, and a member of a larger one.
const (
	verdictBytes = 1024
	boxBytes     = 32
	mapBytes     = 384
	memberBytes  = 96
)

// size estimates the memory that a verdict holds.
func (v *verdict) size() int {
	size := verdictBytes + sizeOf(v.claims) + sizeOf(v.header) + len(v.kid)
	for _, h := range v.tells.SetHeaders {
		size += boxBytes + len(h.Name) + len(h.Value)
	}
	return size + boxBytes*len(v.tells.RemoveHeaders)
}

func sizeOf(value any) int {
	switch value := value.(type) {
	case string:
		return boxBytes + rounded(len(value))
	case json.Number:
		return boxBytes + rounded(len(value))
	case []any:
		size := boxBytes + 2*boxBytes*len(value) // it grew by doubling
		for _, element := range value {
			size += sizeOf(element)
		}
		return size
	case map[string]any:
		size := boxBytes + mapBytes + memberBytes*max(0, len(value)-8)
		for name, member := range value {
			size += rounded(len(name)) + sizeOf(member)
		}
		return size
	}
	return 0
}

// rounded is what the allocator takes for a text: its size classes are at most an eighth apart, or
// 16 bytes.
func rounded(length int) int { return length + length/8 + 16 }
