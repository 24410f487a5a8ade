package report

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Layout is what a terminal can show. The zero value is for a file or a pipe: no colour, and lines
// of any length.
type Layout struct {
	Width  int // in columns; 0: without limit
	Colour bool
}

const (
	gap     = "  " // between columns
	indent  = "    "
	narrow  = 8 // the least width of a column that is made narrower, but for shorter ones
	allInks = "\x1b[0m"
)

// ink is the escape sequence of a tone (ECMA-48, SGR).
func (t Tone) ink() string {
	switch t {
	case Good:
		return "\x1b[32m"
	case Warning:
		return "\x1b[33m"
	case Danger:
		return "\x1b[31m"
	case Muted:
		return "\x1b[2m"
	}
	return ""
}

// A printer writes a document as text.
type printer struct {
	Layout
	*strings.Builder
}

// WriteText writes the document for a terminal, a file or a pipe.
func (d *Document) WriteText(to io.Writer, layout Layout) error {
	p := printer{layout, new(strings.Builder)}
	p.paragraph(d.Title, "\x1b[1m")
	p.paragraph(d.Lead, "")
	p.facts(d.Facts)
	for i := range d.Sections {
		p.section(&d.Sections[i])
	}
	p.paragraph(d.Note, Muted.ink())
	return flush(to, p.Builder)
}

// paragraph writes text, broken where the line ends, and an empty line.
func (p printer) paragraph(text, ink string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		for _, part := range wrap(printable(line), p.Width) {
			p.inked(part, ink)
			p.WriteString("\n")
		}
	}
	p.WriteString("\n")
}

func (p printer) inked(text, ink string) {
	if !p.Colour || ink == "" || text == "" {
		p.WriteString(text)
		return
	}
	p.WriteString(ink + text + allInks)
}

func (p printer) facts(facts []Fact) {
	rows := make([]Row, len(facts))
	for i, f := range facts {
		rows[i] = Row{Tone: f.Tone, Cells: []string{f.Name, f.Value}}
	}
	if len(rows) > 0 {
		p.rows([]Column{{}, {}}, rows)
		p.WriteString("\n")
	}
}

func (p printer) section(s *Section) {
	p.inked(printable(s.Title), "\x1b[1m")
	p.WriteString("\n")
	if s.Note != "" {
		p.paragraph(s.Note, Muted.ink())
	}
	if len(s.Rows) > 0 {
		head := make([]string, len(s.Columns))
		for i, c := range s.Columns {
			head[i] = strings.ToUpper(c.Name)
		}
		p.rows(s.Columns, append([]Row{{Tone: Muted, Cells: head}}, s.Rows...))
		p.WriteString("\n")
	}
	if s.Matrix != nil {
		p.matrix(s.Matrix)
		p.WriteString("\n")
	}
}

// rows writes lines with aligned cells; a cell that is too wide goes on below.
func (p printer) rows(columns []Column, rows []Row) {
	widths := p.widths(columns, rows)
	for _, row := range rows {
		cells, height := make([][]string, len(columns)), 1
		for i := range columns {
			cells[i] = wrap(printable(row.Cells[i]), widths[i])
			height = max(height, len(cells[i]))
		}
		for line := range height {
			var text strings.Builder
			for i, column := range columns {
				part := ""
				if line < len(cells[i]) {
					part = cells[i][line]
				}
				text.WriteString(pad(part, widths[i], column.Right) + gap)
			}
			p.inked(strings.TrimRight(text.String(), " "), row.Tone.ink())
			p.WriteString("\n")
		}
		p.detail(row.Detail)
	}
}

func (p printer) detail(text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		p.inked(strings.TrimRight(indent+printable(line), " "), Muted.ink())
		p.WriteString("\n")
	}
}

// widths gives each column what its widest cell takes, and takes from the widest columns what the
// terminal has not.
func (p printer) widths(columns []Column, rows []Row) []int {
	widths := make([]int, len(columns))
	all := len(gap) * (len(columns) - 1)
	for i := range columns {
		for _, row := range rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(printable(row.Cells[i])))
		}
		all += widths[i]
	}
	for ; p.Width > 0 && all > p.Width; all-- {
		widest := 0
		for i := range widths {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= narrow {
			break
		}
		widths[widest]--
	}
	return widths
}

// matrix writes the columns as letters, with a legend, since their names are long.
func (p printer) matrix(m *Matrix) {
	columns := []Column{{}}
	head := Row{Tone: Muted, Cells: []string{m.Down + " \\ " + m.Across}}
	for i := range m.Columns {
		columns = append(columns, Column{Right: true})
		head.Cells = append(head.Cells, letters(i))
	}
	rows := []Row{head}
	for i, name := range m.Rows {
		row := Row{Cells: []string{name}}
		for _, cell := range m.Cells[i] {
			text := cell.Text
			if text == "" {
				text = "·"
			}
			row.Cells = append(row.Cells, text)
		}
		rows = append(rows, row)
	}
	p.rows(columns, rows)
	for i, name := range m.Columns {
		fmt.Fprintf(p, "%s%s  %s\n", indent, letters(i), printable(name))
	}
}

// letters number a column as spreadsheets do: A … Z, AA ….
func letters(i int) string {
	name := string(rune('A' + i%26))
	for i = i/26 - 1; i >= 0; i = i/26 - 1 {
		name = string(rune('A'+i%26)) + name
	}
	return name
}

func pad(text string, width int, right bool) string { //nolint:revive // right is the column's
	space := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
	if right {
		return space + text
	}
	return text + space
}

// wrap breaks a text into lines of a width, at spaces where there are any.
func wrap(text string, width int) []string {
	if width <= 0 {
		return []string{text}
	}
	var lines []string
	runes := []rune(text)
	for len(runes) > width {
		at := width
		for at > 0 && runes[at] != ' ' {
			at--
		}
		if at == 0 {
			at = width
		}
		lines = append(lines, string(runes[:at]))
		runes = runes[at:]
		if runes[0] == ' ' {
			runes = runes[1:]
		}
	}
	return append(lines, string(runes))
}

// printable makes a line of any text, and replaces what a terminal would obey, or people would not see.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

func flush(to io.Writer, text *strings.Builder) error {
	if _, err := io.WriteString(to, text.String()); err != nil {
		return fmt.Errorf("report: write: %w", err)
	}
	return nil
}
