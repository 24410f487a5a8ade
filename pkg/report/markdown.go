package report

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// WriteMarkdown writes the document in GitHub's Markdown, as for a comment on a pull request.
func (d *Document) WriteMarkdown(to io.Writer) error {
	w := new(strings.Builder)
	fmt.Fprintf(w, "## %s\n", markdown(d.Title))
	if d.Lead != "" {
		fmt.Fprintf(w, "\n%s\n", markdown(d.Lead))
	}
	if len(d.Facts) > 0 {
		w.WriteString("\n")
	}
	for _, f := range d.Facts {
		fmt.Fprintf(w, "- %s: **%s**\n", markdown(f.Name), markdown(f.Value))
	}
	for i := range d.Sections {
		d.Sections[i].markdown(w)
	}
	if d.Note != "" {
		fmt.Fprintf(w, "\n%s\n", markdown(d.Note))
	}
	return flush(to, w)
}

func (s *Section) markdown(w *strings.Builder) {
	fmt.Fprintf(w, "\n### %s\n", markdown(s.Title))
	if s.Note != "" {
		fmt.Fprintf(w, "\n%s\n", markdown(s.Note))
	}
	if len(s.Rows) > 0 {
		head, rule := "|", "|"
		for _, c := range s.Columns {
			head += " " + markdown(c.Name) + " |"
			if c.Right {
				rule += " ---: |"
			} else {
				rule += " --- |"
			}
		}
		fmt.Fprintf(w, "\n%s\n%s\n", head, rule)
	}
	for _, row := range s.Rows {
		w.WriteString("|")
		for _, cell := range row.Cells {
			w.WriteString(" " + markdown(cell) + " |")
		}
		w.WriteString("\n")
	}
	s.details(w)
	if s.Matrix != nil {
		s.Matrix.markdown(w)
	}
}

// details are folded away below the table, since a cell holds no lines.
func (s *Section) details(w *strings.Builder) {
	for _, row := range s.Rows {
		if row.Detail == "" {
			continue
		}
		fmt.Fprintf(w, "\n<details><summary>%s</summary>\n\n", html.EscapeString(printable(strings.Join(row.Cells, " · "))))
		for line := range strings.SplitSeq(row.Detail, "\n") {
			w.WriteString(indent + printable(line) + "\n") // an indented block: no text in it ends it
		}
		w.WriteString("\n</details>\n")
	}
}

func (m *Matrix) markdown(w *strings.Builder) {
	fmt.Fprintf(w, "\n| %s |", markdown(m.Down+" \\ "+m.Across))
	for _, name := range m.Columns {
		w.WriteString(" " + markdown(name) + " |")
	}
	w.WriteString("\n|" + strings.Repeat(" --- |", len(m.Columns)+1) + "\n")
	for i, name := range m.Rows {
		w.WriteString("| " + markdown(name) + " |")
		for _, cell := range m.Cells[i] {
			w.WriteString(" " + markdown(cell.Text) + " |")
		}
		w.WriteString("\n")
	}
}

// markdown makes any text plain text of one line: what CommonMark (section 2.4) or HTML would read is
// escaped.
func markdown(text string) string {
	var out strings.Builder
	for _, r := range printable(text) {
		switch {
		case strings.ContainsRune("<>&:", r): // a colon makes a link of an address
			fmt.Fprintf(&out, "&#%d;", r)
		case strings.ContainsRune("\\`*_{}[]()!|~#+", r):
			out.WriteByte('\\')
			out.WriteRune(r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}
