package authz

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
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

// A Basis is what a policy decided from, as far as a record may keep it. It is shared by all checks
// with the same decision, and must not be changed.
type Basis struct {
	Input      []byte    // what the policy read of its input, as JSON, credentials masked; nil: not kept
	Whole      bool      // Input is all of the input, whether the policy read it or not
	Masked     []string  // the places in Input that were masked, as paths
	Withheld   []string  // places that the policy has masked, wherever else a record would have them
	Time       time.Time // that the policy saw; zero where it asked for nothing that differs from check to check
	Results    []byte    // of non-deterministic builtins, as JSON by name and arguments; nil: none
	Incomplete string    // why that is not all that the policy decided from; "" where it is
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

// Record implements [Recorder]. Where one fails, or panics, those after it get the record of the
// denial that comes of it.
func (rs Recorders) Record(ctx context.Context, record *Record) error {
	var failed error
	for _, r := range rs {
		current := record
		if err := guard(func() error { return r.Record(ctx, current) }); err != nil {
			failed = errors.Join(failed, err)
			denied := *record
			denied.Err, denied.Decision = failed, refuse(record, Challenge{}, failed)
			record = &denied
		}
	}
	return failed
}
