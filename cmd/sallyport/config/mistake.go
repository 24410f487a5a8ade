package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A Mistake is one thing that is wrong with a file, and where.
type Mistake struct {
	File    string `json:"file"`   // "" where there is none
	Line    int    `json:"line"`   // from 1
	Column  int    `json:"column"` // from 1, in characters
	Path    string `json:"path"`   // of the setting, such as jwt.rules[0].issuer; "" for the whole file
	Message string `json:"message"`
}

func (m Mistake) Error() string {
	text := m.Message
	if m.Path != "" {
		text = m.Path + ": " + text
	}
	if m.File != "" {
		text = fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, text)
	}
	return text
}

// Mistakes is everything that is wrong with a file, in the file's order, and never empty.
// Its text is one line for each.
type Mistakes []Mistake

func (ms Mistakes) Error() string {
	lines := make([]string, len(ms))
	for i, m := range ms {
		lines[i] = m.Error()
	}
	return strings.Join(lines, "\n")
}

// At makes a Mistake of an error that a setting's value caused after the file was read. The path
// is that of a [Mistake]; where the file does not have it, the place is the nearest one around it.
func (c *Config) At(path string, err error) Mistake {
	if c.source == nil {
		return Mistake{Line: 1, Column: 1, Path: path, Message: err.Error()}
	}
	return c.source.mistake(c.source.near(path), path, err.Error())
}

type position struct{ line, column int }

func positionOf(node *yaml.Node) position {
	return position{line: max(node.Line, 1), column: max(node.Column, 1)}
}

// A source is a file while it is read: where its settings are, and what is wrong with them.
type source struct {
	file     string
	at       map[string]position
	wrong    map[string]bool // the paths that have a mistake
	mistakes Mistakes
}

func newSource(file string) *source {
	return &source{file: file, at: map[string]position{}, wrong: map[string]bool{}}
}

func (s *source) mistake(at position, path, message string) Mistake {
	return Mistake{File: s.file, Line: at.line, Column: at.column, Path: path, Message: message}
}

// add notes a mistake at a place.
func (s *source) add(at position, path, format string, args ...any) {
	s.wrong[path] = true
	s.mistakes = append(s.mistakes, s.mistake(at, path, fmt.Sprintf(format, args...)))
}

// fault notes a mistake about the setting at path, in the file or not. What follows from an earlier
// mistake about it helps nobody, and is dropped.
func (s *source) fault(path, format string, args ...any) {
	if s.wrong[path] {
		return
	}
	s.add(s.near(path), path, format, args...)
}

func (s *source) has(path string) bool {
	_, ok := s.at[path]
	return ok
}

// near is where path is in the file, or else what is around it.
func (s *source) near(path string) position {
	for {
		if at, ok := s.at[path]; ok {
			return at
		}
		if path == "" {
			return position{line: 1, column: 1}
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

func (s *source) sorted() Mistakes {
	slices.SortStableFunc(s.mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	return s.mistakes
}
