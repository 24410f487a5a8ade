package token

import (
	"slices"
	"strings"
	"time"
)

// Stats are counts since [New], and what there is now.
type Stats struct {
	Cache CacheStats
	Keys  []KeyStats // by issuer
}

// CacheStats are of the verified-token cache.
type CacheStats struct {
	Hits, Misses, Evictions uint64

	Entries int
	Bytes   int
}

// KeyStats are of one issuer's keys. Rules that find them in several places count together.
type KeyStats struct {
	Issuer  string        // as configured; of a JWT-SVID, its trust domain's SPIFFE ID
	Keys    int           // that may be used
	Age     time.Duration // since the issuer last stood by them; 0 where there are none, or they cannot change
	Fetched uint64
	Failed  uint64
}

// Stats counts.
func (v *Verifier) Stats() Stats {
	stats := Stats{Cache: v.cache.stats()}
	for _, ring := range v.rings {
		one := ring.stats()
		i := slices.IndexFunc(stats.Keys, func(k KeyStats) bool { return k.Issuer == one.Issuer })
		if i < 0 {
			stats.Keys = append(stats.Keys, one)
			continue
		}
		all := &stats.Keys[i]
		all.Keys, all.Age = all.Keys+one.Keys, max(all.Age, one.Age)
		all.Fetched, all.Failed = all.Fetched+one.Fetched, all.Failed+one.Failed
	}
	slices.SortFunc(stats.Keys, func(a, b KeyStats) int { return strings.Compare(a.Issuer, b.Issuer) })
	return stats
}

func (r *keyRing) stats() KeyStats {
	stats := KeyStats{Issuer: r.issuer}
	if set := r.current.Load(); set != nil {
		stats.Keys = set.size
		if !set.fixed {
			stats.Age = r.now().Sub(set.confirmed)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	stats.Fetched, stats.Failed = r.fetched, r.failed
	return stats
}

func (c *cache) stats() (stats CacheStats) {
	if c == nil {
		return stats
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		stats.Hits, stats.Misses, stats.Evictions = stats.Hits+s.hits, stats.Misses+s.misses, stats.Evictions+s.evictions
		stats.Entries, stats.Bytes = stats.Entries+s.entries.Len(), stats.Bytes+s.bytes
		s.mu.Unlock()
	}
	return stats
}
