package token

import (
	"crypto/sha256"
	"fmt"
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// A cache keeps verdicts, so that a token that comes again costs a hash instead of a signature.
//
// Only tokens that passed every check enter it: who holds no valid token can put nothing in and
// push nothing out. It is bounded by the memory of what it holds, and what was used least recently
// makes room. It is cut into shards, each with a lock of its own, so that checks seldom wait for
// each other. A nil cache keeps nothing.
type cache struct {
	shards [16]shard
	texts  sync.Pool // of *[]byte
}

type shard struct {
	mu      sync.Mutex
	entries *simplelru.LRU[cacheKey, entry]
	bytes   int
	most    int // of bytes

	hits, misses, evictions uint64
}

type entry struct {
	verdict *verdict
	size    int
}

// A cacheKey is a token and the place it stood in. The place is part of it because the rules that
// read a place decide for which slot a token is: a verdict for one slot is none for another. The
// whole text is hashed, signature and all, with a hash for which nobody can find a second text.
type cacheKey struct {
	place int
	sum   [sha256.Size]byte
}

// newCache makes a cache of so many bytes.
func newCache(most int) (*cache, error) {
	c := &cache{texts: sync.Pool{New: func() any { return new([]byte) }}}
	for i := range c.shards {
		s := &c.shards[i]
		s.most = most / len(c.shards)
		var err error
		s.entries, err = simplelru.NewLRU(math.MaxInt, func(_ cacheKey, e entry) { s.bytes -= e.size })
		if err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
	}
	return c, nil
}

// key hashes a token. The text is copied into a buffer that is used again, since turning it into
// bytes would allocate as many.
func (c *cache) key(place int, text string) cacheKey {
	if c == nil {
		return cacheKey{}
	}
	buffer, ok := c.texts.Get().(*[]byte)
	if !ok {
		buffer = new([]byte)
	}
	*buffer = append((*buffer)[:0], text...)
	key := cacheKey{place: place, sum: sha256.Sum256(*buffer)}
	clear(*buffer) // a token is not left lying about
	c.texts.Put(buffer)
	return key
}

func (c *cache) shard(key cacheKey) *shard { return &c.shards[int(key.sum[0])%len(c.shards)] }

// get is the verdict for a token, or nil. What the verdict cannot know is still to be checked.
func (c *cache) get(key cacheKey) *verdict {
	if c == nil {
		return nil
	}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, found := s.entries.Get(key)
	if found {
		s.hits++
	} else {
		s.misses++
	}
	return e.verdict
}

// put keeps a verdict, unless it alone would fill its shard.
func (c *cache) put(key cacheKey, v *verdict) {
	if c == nil {
		return
	}
	s, e := c.shard(key), entry{verdict: v, size: v.size()}
	if e.size > s.most {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries.Remove(key)
	for s.bytes+e.size > s.most {
		s.entries.RemoveOldest()
		s.evictions++
	}
	s.entries.Add(key, e)
	s.bytes += e.size
}

// drop forgets a verdict.
func (c *cache) drop(key cacheKey) {
	if c == nil {
		return
	}
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries.Remove(key)
}
