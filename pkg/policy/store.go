package policy

import (
	"sync"
	"sync/atomic"
)

// A store keeps values by key, as many as its bytes allow. What makes room is chosen by SIEVE
// (Zhang et al., NSDI 2024): the oldest that was not asked for since the last time it was looked
// at. It needs no more than a bit at a hit, and values asked for once do not push out the others.
// It is cut into shards, each with a lock of its own. A nil store keeps nothing.
type store[K comparable, V any] struct {
	evicted *atomic.Uint64
	shards  [16]shard[K, V]
}

type shard[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]*entry[K, V]
	newest  *entry[K, V]
	oldest  *entry[K, V]
	hand    *entry[K, V] // where the last one was chosen; nil is at the oldest
	bytes   int
	most    int // of bytes
}

type entry[K comparable, V any] struct {
	key          K
	value        V
	size         int
	asked        bool
	newer, older *entry[K, V]
}

// newStore makes a store of so many bytes, none of 0. It counts what it evicts.
func newStore[K comparable, V any](most int, evicted *atomic.Uint64) *store[K, V] {
	if most <= 0 {
		return nil
	}
	s := &store[K, V]{evicted: evicted}
	for i := range s.shards {
		s.shards[i].entries = map[K]*entry[K, V]{}
		s.shards[i].most = most / len(s.shards)
	}
	return s
}

// shard is where a key is kept. The hash must be the same for the same key.
func (s *store[K, V]) shard(hash uint64) *shard[K, V] { return &s.shards[hash>>60] }

func (s *store[K, V]) get(hash uint64, key K) (value V, ok bool) {
	if s == nil {
		return value, false
	}
	in := s.shard(hash)
	in.mu.Lock()
	defer in.mu.Unlock()
	e, ok := in.entries[key]
	if !ok {
		return value, false
	}
	e.asked = true
	return e.value, true
}

// put keeps a value, unless it alone would fill its shard or there is one for the key.
func (s *store[K, V]) put(hash uint64, key K, value V, size int) {
	if s == nil {
		return
	}
	in := s.shard(hash)
	size += entryBytes
	in.mu.Lock()
	defer in.mu.Unlock()
	if _, ok := in.entries[key]; ok || size > in.most {
		return
	}
	for in.bytes+size > in.most {
		in.evict()
		s.evicted.Add(1)
	}
	e := &entry[K, V]{key: key, value: value, size: size, older: in.newest}
	if in.newest != nil {
		in.newest.newer = e
	} else {
		in.oldest = e
	}
	in.newest = e
	in.entries[key] = e
	in.bytes += size
}

// entryBytes is what an entry takes beside its value: itself, and its place in a map that may be
// half empty.
const entryBytes = 256

// evict takes out what makes room. The shard is not empty.
func (s *shard[K, V]) evict() {
	e := s.hand
	if e == nil {
		e = s.oldest
	}
	for e.asked {
		e.asked = false
		if e = e.newer; e == nil {
			e = s.oldest
		}
	}
	s.hand = e.newer
	s.unlink(e)
	delete(s.entries, e.key)
	s.bytes -= e.size
}

func (s *shard[K, V]) unlink(e *entry[K, V]) {
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		s.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		s.newest = e.older
	}
}

// sizes adds up what the store holds.
func (s *store[K, V]) sizes() (entries, bytes int) {
	if s == nil {
		return 0, 0
	}
	for i := range s.shards {
		in := &s.shards[i]
		in.mu.Lock()
		entries, bytes = entries+len(in.entries), bytes+in.bytes
		in.mu.Unlock()
	}
	return entries, bytes
}
