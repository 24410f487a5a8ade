package authz

import "time"

// A Comparison is what a candidate policy would have decided about a check, beside what was decided.
type Comparison struct {
	Record     *Record // of the check; it is shared and must not be changed
	Candidate  Decision
	Difference Difference
	Duration   time.Duration // of the candidate's evaluation
}

// Failed tells whether the candidate failed at the request, rather than judged it.
func (c *Comparison) Failed() bool {
	switch c.Candidate.Reason {
	case PolicyError, PolicyConflict, PolicyAnswerInvalid, Timeout, Internal:
		return true
	}
	return false
}

// Unlike tells whether a person must look at it before the candidate may decide: it differs, or the
// candidate failed, which is a denial by accident.
func (c *Comparison) Unlike() bool { return c.Difference.Verdict != Same || c.Failed() }
