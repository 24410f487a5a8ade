package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
)

//go:embed page.html
var pageText string

// A bar is one server of a mix in a plot, in units of the plot.
type bar struct {
	Name, Label              string
	Y, Width, Whisker, Least int
}

// barUnit is the width of the ratio 1; the plot's viewBox has room for a ratio of 16.
const barUnit = 40

// page is the whole report in one file that needs no network.
func (r results) page() []byte {
	functions := template.FuncMap{"bars": bars, "ratio": func(m result, s serverResult) spread { return m.ratios(s) },
		"cpu": func(s serverResult) spread { return newSpread(microseconds(s.CPU)) }, "rate": func(s serverResult) spread { return newSpread(s.Rate) },
		"short": short, "two": func(f float64) string { return fmt.Sprintf("%.2f", f) }, "one": func(f float64) string { return fmt.Sprintf("%.1f", f) },
		"none": func(f float64) string { return fmt.Sprintf("%.0f", f) }}
	var out bytes.Buffer
	if err := template.Must(template.New("page").Funcs(functions).Parse(pageText)).Execute(&out, r); err != nil {
		panic(err) // the template is ours, and writes to memory
	}
	return out.Bytes()
}

// bars are the ratios of a mix, with a whisker from the least to the most.
func bars(m result) []bar {
	var out []bar
	for i, s := range m.Servers {
		ratio := m.ratios(s)
		out = append(out, bar{
			Name: s.Name, Label: fmt.Sprintf("%.2f", ratio.Median), Y: i * 26,
			Width: int(ratio.Median * barUnit), Least: int(ratio.Min * barUnit), Whisker: int(ratio.Max * barUnit),
		})
	}
	return out
}
