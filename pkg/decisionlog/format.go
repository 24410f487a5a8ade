package decisionlog

import (
	"context"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A Format writes records as the log does, for who shows them elsewhere. It may be used concurrently.
type Format struct{ keep *keep }

// NewFormat makes the format of a log that keeps the same.
func NewFormat(k Keep) Format { return Format{newKeep(k)} }

// Line is the line of a record: JSON of sallyport.decision.v1, without credentials.
func (f Format) Line(ctx context.Context, record *authz.Record) []byte {
	return f.keep.appendLine(nil, ctx, record)
}
