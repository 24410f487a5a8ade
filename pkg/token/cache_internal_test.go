package token

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"github.com/sallyport/sallyport/pkg/authz"
)

// TestCacheIsBounded is inside the package, because so many signatures take long: it puts forty
// thousand verdicts of all sizes into a cache and measures the memory that they hold.
func TestCacheIsBounded(t *testing.T) {
	const most, count = 16 << 20, 40_000
	heap := func() int {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int(stats.HeapAlloc)
	}
	before := heap()
	c, err := newCache(most)
	if err != nil {
		t.Fatal(err)
	}
	highest := 0
	for n := range count {
		c.put(numbered(n), bulky(t, n))
		if n%10_000 == 9_999 {
			highest = max(highest, heap()-before)
		}
	}
	entries, bytes := 0, 0
	for i := range c.shards {
		entries += c.shards[i].entries.Len()
		bytes += c.shards[i].bytes
	}
	t.Logf("%d entries, reckoned %d bytes, held %d of %d allowed", entries, bytes, highest, most)
	if highest > most || bytes > most {
		t.Errorf("the cache holds %d bytes and reckons with %d, more than %d", highest, bytes, most)
	}
	if bytes < most*9/10 || highest < most/4 {
		t.Errorf("the cache reckons with %d and holds %d bytes of %d: it wastes what it was given", bytes, highest, most)
	}
	if c.get(numbered(count-1)) == nil || c.get(numbered(0)) != nil {
		t.Error("the newest is gone, or the oldest is not")
	}
}

// numbered is a key like that of a token: its bytes are spread.
func numbered(n int) cacheKey {
	var text [8]byte
	binary.LittleEndian.PutUint64(text[:], uint64(n))
	return (&cache{}).key(0, string(text[:]))
}

// bulky is a verdict with claims of many kinds, every fiftieth a large one.
func bulky(t *testing.T, n int) *verdict {
	t.Helper()
	text := fmt.Sprintf(`{"iss":"https://issuer.example","sub":"user-%d","aud":["a","b"],"exp":1900003600,"iat":1900000000,"scope":"read write","realm":{"roles":["x","y","z"]},"n":%d}`, n, n)
	if n%50 == 0 {
		groups := ""
		for g := range 100 {
			groups += fmt.Sprintf(`,"group-%d":"%d"`, g, n)
		}
		text = text[:len(text)-1] + groups + "}"
	}
	claims, err := decodeObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &verdict{
		rule: &rule{}, claims: claims, header: map[string]any{"alg": "ES256", "kid": fmt.Sprint("key-", n)},
		tells: authz.Mutation{SetHeaders: []authz.Header{{Name: "x-user", Value: fmt.Sprint("user-", n)}}},
	}
}
