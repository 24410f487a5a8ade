package inspect

import (
	"slices"
	"sync"

	"github.com/sallyport/sallyport/pkg/authz"
)

// ringRecords bounds a ring beside its bytes: 8,192 requests of the usual 1 KiB fill 12 MiB at most
// by two.
const ringRecords = 1 << 13

// A ring remembers the last records, as many as fit. It holds pointers alone. The zero ring holds
// nothing.
type ring struct {
	maxBytes int

	mu      sync.Mutex
	records []*authz.Record
	first   int // the oldest
	count   int
	bytes   int
}

func (r *ring) add(record *authz.Record) {
	size := sizeOf(record)
	if size > r.maxBytes {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.records == nil {
		r.records = make([]*authz.Record, ringRecords)
	}
	for r.count == len(r.records) || r.count > 0 && r.bytes+size > r.maxBytes {
		r.bytes -= sizeOf(r.records[r.first])
		r.records[r.first] = nil
		r.first = (r.first + 1) % len(r.records)
		r.count--
	}
	r.records[(r.first+r.count)%len(r.records)] = record
	r.count++
	r.bytes += size
}

// find looks a record up; nil where it is not remembered. Checks wait for no comparison of ids.
func (r *ring) find(id string) *authz.Record {
	r.mu.Lock()
	records := slices.Clone(r.records)
	r.mu.Unlock()
	for _, record := range records {
		if record != nil && record.ID == id {
			return record
		}
	}
	return nil
}

// sizeOf estimates what a record keeps in memory: the message, whose bytes its texts are, as much again
// for maps, and what else there is to a check.
func sizeOf(record *authz.Record) int {
	const rest = 2 << 10
	size := rest
	if record.Request != nil {
		size += 2 * record.Request.MessageBytes
	}
	if basis := record.Decision.Basis; basis != nil {
		size += len(basis.Input) + len(basis.Results)
	}
	return size
}
