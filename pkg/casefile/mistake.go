package casefile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Mistake is one thing that is wrong with a file, and where.
type Mistake struct {
	File    string
	Line    int // from 1
	Column  int // from 1
	Message string
}

func (m Mistake) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Message)
}

// Mistakes is everything that is wrong with a file, in the file's order, and never empty. Its text is
// one line for each.
type Mistakes []Mistake

func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// err is what was found wrong, nil where nothing was.
func (r *reader) err() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.mistakes
}

// IsMistakes tells whether an error is about what a file says, so that its text begins with a place.
func IsMistakes(err error) bool {
	_, ok := errors.AsType[Mistakes](err)
	return ok
}
