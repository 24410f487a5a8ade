package authz

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"
)

// A Record is what is kept of one check: as much of a denied one as of an allowed one.
// It refers to the request as it came, so a Recorder masks credentials before anything leaves it.
type Record struct {
	ID       string // of the decision, a UUID (RFC 9562, version 4)
	Time     time.Time
	Duration time.Duration
	Request  *Request
	Identity Identity
	Decision Decision
	Err      error // what failed, where something did; for the operator
}

// newID makes a version 4 UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: it crashes the program rather than return an error
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	id := make([]byte, 0, 36)
	for i, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		if i > 0 {
			id = append(id, '-')
		}
		id = hex.AppendEncode(id, part)
	}
	return string(id)
}

// Recorders hands each record to all of them, in order.
type Recorders []Recorder

// Record implements [Recorder].
func (rs Recorders) Record(ctx context.Context, record *Record) {
	for _, r := range rs {
		r.Record(ctx, record)
	}
}
