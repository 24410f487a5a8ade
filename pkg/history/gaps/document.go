package gaps

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/pkg/report"
)

// How much of the matrix people look at; the JSON has it whole.
const (
	shownPrincipals = 40
	shownPatterns   = 26
)

// Document lays the report out, with so many gaps at most; 0: all.
func (r *Report) Document(most int) *report.Document {
	shown := r.Gaps
	if most > 0 && len(shown) > most {
		shown = shown[:most]
	}
	d := &report.Document{
		Title: "Gaps", Lead: r.lead(),
		Facts: []report.Fact{
			{Name: "decisions", Value: fmt.Sprintf("%d, %d allowed and %d denied", r.Decisions, r.Allowed, r.Denied)},
			{Name: "from", Value: fmt.Sprintf("%s to %s", r.From.UTC().Format("2006-01-02 15:04"), r.To.UTC().Format("2006-01-02 15:04"))},
			{Name: "policies", Value: fmt.Sprintf("%d", len(r.Revisions))},
		},
		Note: "A score is risk × (1 + log10 of the decisions). " + strings.Join(r.Unknown, " "),
	}
	list := report.Section{
		Title:   "What is open, worst first",
		Columns: []report.Column{{Name: "score", Right: true}, {Name: "gap"}, {Name: "where"}, {Name: "decisions", Right: true}, {Name: "share", Right: true}},
	}
	if len(shown) < len(r.Gaps) {
		list.Note = fmt.Sprintf("The first %d of %d.", len(shown), len(r.Gaps))
	}
	for _, gap := range shown {
		list.Rows = append(list.Rows, gap.row())
	}
	d.Sections = []report.Section{list, {
		Title:  "Who reaches what",
		Note:   "7: allowed so often. ×2: denied so often. ○: never allowed, though the policy at hand would.",
		Matrix: r.Matrix.shown(),
	}}
	return d
}

func (r *Report) lead() string {
	if len(r.Gaps) == 0 {
		return "No gap was found in what the record can show."
	}
	return fmt.Sprintf("%d gaps. The worst: %s, %s.", len(r.Gaps), words[r.Gaps[0].Kind], r.Gaps[0].Subject)
}

func (g *Gap) row() report.Row {
	tones := []report.Tone{report.Muted, report.Muted, report.Plain, report.Warning, report.Danger, report.Danger}
	detail := g.What
	if g.Sample != "" {
		detail += "\nsample " + g.Sample
	}
	return report.Row{
		Tone:   tones[g.Risk],
		Cells:  []string{strconv.FormatFloat(g.Score, 'f', 1, 64), words[g.Kind], g.Subject, strconv.Itoa(g.Decisions), strconv.FormatFloat(100*g.Share, 'f', 1, 64) + "%"},
		Detail: detail + "\n" + g.Mend,
	}
}

// shown is the part of the matrix that people look at.
func (m *Matrix) shown() *report.Matrix {
	out := &report.Matrix{Down: "principal", Across: "route"}
	rows, columns := map[string]int{}, map[string]int{}
	for _, total := range m.Principals[:min(len(m.Principals), shownPrincipals)] {
		rows[total.Name] = len(out.Rows)
		out.Rows = append(out.Rows, total.Name)
	}
	for _, total := range m.Patterns[:min(len(m.Patterns), shownPatterns)] {
		columns[total.Name] = len(out.Columns)
		out.Columns = append(out.Columns, total.Name)
	}
	out.Cells = make([][]report.Cell, len(out.Rows))
	for i := range out.Cells {
		out.Cells[i] = make([]report.Cell, len(out.Columns))
	}
	for _, cell := range m.Cells {
		row, ok1 := rows[cell.Principal]
		column, ok2 := columns[cell.Pattern]
		if ok1 && ok2 {
			out.Cells[row][column] = cell.shown()
		}
	}
	return out
}

func (c *Cell) shown() report.Cell {
	denied := "×" + strconv.Itoa(c.Denied)
	switch {
	case c.Allowed > 0 && c.Denied > 0:
		return report.Cell{Text: strconv.Itoa(c.Allowed) + " " + denied, Title: fmt.Sprintf("%d allowed, %d denied", c.Allowed, c.Denied), Tone: report.Plain}
	case c.Allowed > 0:
		return report.Cell{Text: strconv.Itoa(c.Allowed), Title: fmt.Sprintf("%d allowed", c.Allowed), Tone: report.Good}
	case c.Unused && c.Denied > 0:
		return report.Cell{Text: "○ " + denied, Title: fmt.Sprintf("%d denied; the policy at hand would allow it", c.Denied), Tone: report.Warning}
	case c.Unused:
		return report.Cell{Text: "○", Title: "never asked for; the policy at hand would allow it", Tone: report.Warning}
	}
	return report.Cell{Text: denied, Title: fmt.Sprintf("%d denied", c.Denied), Tone: report.Danger}
}
