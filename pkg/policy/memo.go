package policy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync/atomic"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A memo holds decisions of one snapshot, each under a digest of the document it was made from. See
// "The decision memo" in the package documentation. A nil memo holds nothing.
type memo struct {
	*archive
	name   string // of the entrypoint
	broken atomic.Bool
}

// An archive is what the memos of an edition share: their room, and who is let in.
type archive struct {
	kept   *store[memoKey, *authz.Decision]
	door   [1 << 16]atomic.Uint32
	counts *counts
	logger *slog.Logger
}

// A memoKey is a memo and a document. SHA-256 has no known two texts with one digest, and costs
// 0.2 µs for the 200 bytes of a usual document. The document itself is not kept: it may hold credentials.
type memoKey struct {
	memo *memo
	sum  [sha256.Size]byte
}

func (k *memoKey) hash() uint64 { return binary.LittleEndian.Uint64(k.sum[8:]) }

// counts are those of an engine, over all its editions.
type counts struct {
	hits, misses, bypasses, evictions, differences atomic.Uint64
}

// Stats are what the decision memo has done since the engine was made, and what it holds now.
type Stats struct {
	Hits        uint64 // checks that were answered from the memo
	Misses      uint64 // checks that were looked for and not found
	Bypasses    uint64 // checks that were not looked for: of a policy without a memo, or with a body
	Evictions   uint64 // decisions that made room
	Differences uint64 // hits that were evaluated again and came out otherwise; each turns a memo off
	Entries     int
	Bytes       int // an estimate, rounded up
}

// Stats says how the decision memo does.
func (e *Engine) Stats() Stats {
	c := &e.counts
	stats := Stats{
		Hits: c.hits.Load(), Misses: c.misses.Load(), Bypasses: c.bypasses.Load(),
		Evictions: c.evictions.Load(), Differences: c.differences.Load(),
	}
	if current := e.current.Load(); current != nil && current.archive != nil {
		stats.Entries, stats.Bytes = current.archive.kept.sizes()
	}
	return stats
}

// newArchive makes the archive of an edition; nil where nothing is to be kept.
func (l *limits) newArchive() *archive {
	if l.memoBytes <= 0 {
		return nil
	}
	return &archive{kept: newStore[memoKey, *authz.Decision](l.memoBytes, &l.counts.evictions), counts: l.counts, logger: l.logger}
}

// newMemo makes the memo of an entrypoint; nil where it would be wrong, or of no use: a document
// with the time or Envoy's id of the request comes once.
func (a *archive) newMemo(name string, r *reads) *memo {
	http := r.input.at("attributes").at("request")
	unique := r.input.whole || http.at("time") != nil || http.at("http").at("id") != nil
	if a == nil || !r.deterministic || unique {
		return nil
	}
	return &memo{archive: a, name: name}
}

// key is that of a document. Its memoKey.memo is nil where the document has none.
func (m *memo) key(in *sheet) memoKey {
	if m == nil || in.unique || m.broken.Load() {
		return memoKey{}
	}
	return memoKey{memo: m, sum: sha256.Sum256(in.bytes)}
}

// get finds a decision. It is shared and must not be changed.
func (m *memo) get(key *memoKey) *authz.Decision {
	found, ok := m.kept.get(key.hash(), *key)
	if !ok {
		m.counts.misses.Add(1)
		return nil
	}
	m.counts.hits.Add(1)
	return found
}

// put keeps a decision, if its document came before: what comes once never comes out of a memo
// and must not push out what does.
func (m *memo) put(key *memoKey, d *authz.Decision) {
	spot, mark := &m.door[binary.LittleEndian.Uint16(key.sum[:])], binary.LittleEndian.Uint32(key.sum[2:])
	if spot.Swap(mark) != mark {
		return
	}
	kept, size := preserve(d)
	m.kept.put(key.hash(), *key, kept, size)
}

// sampled tells one hit in a thousand, to be evaluated again.
func sampled() bool { return rand.Uint32N(1000) == 0 } //nolint:gosec // nothing is gained by a guess

// compare turns the memo off where a decision that it had is not the policy's.
func (m *memo) compare(ctx context.Context, had *authz.Decision, fresh authz.Decision, err error) {
	if err == nil && reflect.DeepEqual(*had, fresh) || authz.ReasonOf(err) == authz.Timeout {
		return
	}
	m.broken.Store(true)
	m.counts.differences.Add(1)
	m.logger.ErrorContext(ctx, "a decision in the memo is not the policy's; the memo is off until the next policy",
		"entrypoint", m.name)
}
