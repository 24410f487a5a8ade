package policy

import (
	"crypto/sha256"
	"reflect"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// An aside is a value of the input that is made once and used by many checks: the claims or the
// header of a token, where the policy reads all of them. The digest is of the very bytes that the
// value is read from, by a hash for which nobody can find a second text, so it stands for the value.
type aside struct {
	source map[string]any // held, so that no other map can have its address
	digest [sha256.Size]byte

	once  sync.Once
	bytes sheet // until value is read from them
	value ast.Value
	err   error
}

// asides keeps an aside for each map of claims or of a header. The first door hands out the same
// maps, unchanged, for every check with the same token (see [authz.Token]), so that their address
// is enough to know them by. Without it each check with a token would pay for its claims again,
// 2 to 10 µs, which is more than all else that a memoised check costs here.
type asides struct {
	kept *store[uintptr, *aside]
}

// of finds or makes the aside of a map.
func (a asides) of(source map[string]any) (*aside, error) {
	address := reflect.ValueOf(source).Pointer()
	if found, ok := a.kept.get(spread(address), address); ok {
		return found, nil
	}
	made := &aside{source: source}
	if err := made.bytes.json(nil, source); err != nil {
		return nil, err
	}
	made.digest = sha256.Sum256(made.bytes.bytes)
	a.kept.put(spread(address), address, made, made.size())
	return made, nil
}

// spread makes of an address, whose last bits are 0, what differs in its first byte.
func spread(address uintptr) uint64 { return uint64(address) * 0x9e3779b97f4a7c15 } // 2^64/φ, Knuth's

// read gives the value, which is made at the first evaluation that needs it.
func (a *aside) read() (ast.Value, error) {
	a.once.Do(func() {
		if a.value != nil { // a body
			return
		}
		var term *ast.Term
		if term, a.err = a.bytes.document(nil); a.err == nil {
			a.value = term.Value
		}
		a.bytes = sheet{}
	})
	return a.value, a.err
}

// Bytes in memory of a value of Rego: its term, what is in it and its place in an object, rounded
// up; and of an aside without them.
const (
	valueBytes = 256
	asideBytes = 256
)

// size estimates the memory of the aside with its value and its source, which may have left the
// first door's cache.
func (a *aside) size() int {
	return asideBytes + 2*valueBytes*a.bytes.values + 4*len(a.bytes.bytes)
}
