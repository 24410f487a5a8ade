// Package report shows what a command found: to a person at a terminal, in a pull request, or in a
// page that is opened in a browser.
//
// A command makes a [Document] of what it found, once. The document is written as text (text.go), as
// Markdown (markdown.go), or as one HTML file that needs no network (html.go). What a program wants to
// read is not made from it: that is JSON, and each command's own.
//
// Whatever was recorded of requests is foreign text. No form of a document lets it act: not as an
// escape sequence in a terminal, not as Markdown, not as HTML.
package report

// A Document is what was found.
type Document struct {
	Title    string
	Lead     string // the finding in a sentence or two
	Facts    []Fact
	Sections []Section
	Note     string // what to know of how it was found
}

// A Fact is a figure that stands above everything.
type Fact struct {
	Name  string
	Value string
	Tone  Tone
}

// A Section is a heading with a table, a matrix, or both.
type Section struct {
	Title   string
	Note    string
	Columns []Column
	Rows    []Row
	Matrix  *Matrix
}

// A Column is one of a table.
type Column struct {
	Name  string
	Right bool // its cells are figures
}

// A Row is one of a table.
type Row struct {
	Tone   Tone
	Cells  []string // one for each column
	Detail string   // shown below the row, line for line: a sample, or how to mend it; "": nothing
}

// A Matrix shows two things crossed, to be looked at rather than read. A cell without text is empty.
type Matrix struct {
	Across  string // what the columns are
	Down    string // what the rows are
	Columns []string
	Rows    []string
	Cells   [][]Cell // by row, then by column
}

// A Cell is one of a matrix.
type Cell struct {
	Text  string // a few characters
	Title string // what it says in full
	Tone  Tone
}

// A Tone is what a reader should feel. The zero value is nothing.
type Tone string

// The tones.
const (
	Plain   Tone = ""
	Good    Tone = "good"
	Warning Tone = "warning"
	Danger  Tone = "danger"
	Muted   Tone = "muted"
)
