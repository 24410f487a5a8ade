package decisionlog

import (
	"context"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// appendDifference appends the line of a comparison: the check as its own line has it, without what the
// policy decided from and what the caller got, and what the candidate would have decided.
func (k *keep) appendDifference(to []byte, c *authz.Comparison) []byte {
	w := line{keep: k, object: object{out: to}}
	w.check(context.Background(), c.Record)
	d := &c.Candidate
	w.begin("candidate", '{')
	w.text("verdict", string(c.Difference.Verdict))
	w.list("effects", c.Difference.Effects)
	w.boolean("allowed", d.Allowed)
	w.text("reason", string(d.Reason))
	w.text("detail", mask.Free(d.Detail))
	if d.Status != 0 {
		w.integer("status", int64(d.Status))
	}
	w.text("revision", d.Revision)
	w.text("entrypoint", d.Entrypoint)
	w.text("rule", mask.Free(d.Named("rule")))
	w.text("route", mask.Free(d.Named("route")))
	w.integer("duration_us", c.Duration.Microseconds())
	w.end('}')
	w.end('}')
	return append(w.out, '\n')
}

// Difference is the line of a comparison, as [Log.Difference] writes it.
func (f Format) Difference(c *authz.Comparison) []byte { return f.keep.appendDifference(nil, c) }

// Difference writes what a candidate policy would have decided, in a line of its own: it comes after
// the check's. It never waits, and takes no room from the records of checks: where a queue is half full
// the line is left out, and the metrics of the candidate are all that tells of it.
func (l *Log) Difference(c *authz.Comparison) {
	line := l.keep.appendDifference(nil, c)
	for _, q := range l.queues {
		if !q.checksOnly {
			q.offerSpare(line)
		}
	}
}

// offerSpare takes a line where more than half of the room is left.
func (q *queue) offerSpare(line []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fits(line) && 2*(len(q.pending)+q.taken+len(line)) <= q.most && 2*(q.lines+q.taking) < q.longest {
		q.add(line)
	}
}
