package report_test

import (
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/report"
)

func document() *report.Document {
	return &report.Document{
		Title: "What would change", Lead: "One request would be let in.",
		Facts: []report.Fact{{Name: "decisions", Value: "1,204"}, {Name: "newly allowed", Value: "1", Tone: report.Danger}},
		Sections: []report.Section{{
			Title: "Newly allowed", Note: "Look at these first.",
			Columns: []report.Column{{Name: "route"}, {Name: "principal"}, {Name: "count", Right: true}},
			Rows: []report.Row{
				{Tone: report.Danger, Cells: []string{"GET /admin/**", "users:alice", "7"}, Detail: "because:\n  routes[3]"},
				{Cells: []string{"GET /", "anonymous", "1204"}},
			},
		}, {
			Title: "Who reaches what",
			Matrix: &report.Matrix{
				Down: "principal", Across: "route", Rows: []string{"users:alice", "anonymous"}, Columns: []string{"GET /admin/**", "GET /"},
				Cells: [][]report.Cell{{{Text: "7", Title: "7 allowed", Tone: report.Danger}, {}}, {{}, {Text: "1k", Title: "1,204 allowed"}}},
			},
		}},
		Note: "From decisions.ndjson.",
	}
}

func text(t *testing.T, write func(io.Writer) error) string {
	t.Helper()
	var out strings.Builder
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestText(t *testing.T) {
	want := `What would change

One request would be let in.

decisions      1,204
newly allowed  1

Newly allowed
Look at these first.

ROUTE          PRINCIPAL    COUNT
GET /admin/**  users:alice      7
    because:
      routes[3]
GET /          anonymous     1204

Who reaches what
principal \ route  A   B
users:alice        7   ·
anonymous          ·  1k
    A  GET /admin/**
    B  GET /

From decisions.ndjson.

`
	got := text(t, func(w io.Writer) error { return document().WriteText(w, report.Layout{}) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	inked := text(t, func(w io.Writer) error { return document().WriteText(w, report.Layout{Colour: true}) })
	if !strings.Contains(inked, "\x1b[31mGET /admin/**") || regexp.MustCompile("\x1b\\[\\d+m").ReplaceAllString(inked, "") != want {
		t.Errorf("in colour: %q", inked)
	}
}

func TestTextKeepsToTheWidth(t *testing.T) {
	d := document()
	d.Sections[0].Rows[0].Detail = "" // a sample is to be copied, so it is not broken
	d.Sections[0].Rows[0].Cells[1] = "spiffe://cluster.local/ns/a-namespace/sa/an-account and users:alice"
	got := text(t, func(w io.Writer) error { return d.WriteText(w, report.Layout{Width: 40}) })
	for line := range strings.Lines(got) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 40 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	if joined := regexp.MustCompile(`\s+`).ReplaceAllString(got, ""); !strings.Contains(joined, "spiffe://cluster.l") || !strings.Contains(got, "alice") {
		t.Errorf("something is lost in\n%s", got)
	}
}

// TestForeignTextActsNowhere has what callers may send in every place of a document.
func TestForeignTextActsNowhere(t *testing.T) {
	const hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \x1b[2J\u202e| a | [x](javascript:y) `c` **b** \r\n\n    code"
	d := &report.Document{
		Title: hostile, Lead: hostile, Note: hostile, Facts: []report.Fact{{Name: hostile, Value: hostile}},
		Sections: []report.Section{{
			Title: hostile, Note: hostile, Columns: []report.Column{{Name: hostile}}, Rows: []report.Row{{Cells: []string{hostile}, Detail: hostile}},
			Matrix: &report.Matrix{Down: hostile, Across: hostile, Rows: []string{hostile}, Columns: []string{hostile}, Cells: [][]report.Cell{{{Text: hostile, Title: hostile}}}},
		}},
	}
	page := text(t, d.WriteHTML)
	if n := strings.Count(page, "<script"); n != 1 {
		t.Errorf("the page has %d scripts", n)
	}
	if strings.Contains(page, "<img") || regexp.MustCompile(`https?://`).MatchString(page) {
		t.Error("the page has foreign elements or addresses")
	}
	marked := text(t, d.WriteMarkdown)
	outsideCode := regexp.MustCompile(`(?m)^    .*$|<summary>.*</summary>`).ReplaceAllString(marked, "")
	for _, bad := range []string{"<script", "<img", "](", " `c`", " **b**", " | a | "} {
		if strings.Contains(outsideCode, bad) {
			t.Errorf("Markdown has %q in\n%s", bad, outsideCode)
		}
	}
	for name, got := range map[string]string{
		"text": text(t, func(w io.Writer) error { return d.WriteText(w, report.Layout{Width: 60}) }), "Markdown": marked,
	} {
		if strings.ContainsAny(got, "\x1b\u202e\r") {
			t.Errorf("%s has what a terminal obeys: %q", name, got)
		}
	}
}

func TestMarkdown(t *testing.T) {
	want := `## What would change

One request would be let in.

- decisions: **1,204**
- newly allowed: **1**

### Newly allowed

Look at these first.

| route | principal | count |
| --- | --- | ---: |
| GET /admin/\*\* | users&#58;alice | 7 |
| GET / | anonymous | 1204 |

<details><summary>GET /admin/** · users:alice · 7</summary>

    because:
      routes[3]

</details>

### Who reaches what

| principal \\ route | GET /admin/\*\* | GET / |
| --- | --- | --- |
| users&#58;alice | 7 |  |
| anonymous |  | 1k |

From decisions.ndjson.
`
	if diff := cmp.Diff(want, text(t, document().WriteMarkdown)); diff != "" {
		t.Error(diff)
	}
}
