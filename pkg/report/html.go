package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// WriteHTML writes the document as one file that a browser shows without a network. It may be opened
// from anywhere: its Content-Security-Policy allows its own script and style, and nothing else.
func (d *Document) WriteHTML(to io.Writer) error {
	page, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("report: read the page: %w", err)
	}
	err = page.Execute(to, struct {
		*Document
		Policy string
		Style  template.CSS
		Script template.JS
	}{
		d, "default-src 'none'; style-src " + source(pageCSS) + "; script-src " + source(pageJS),
		template.CSS(pageCSS), template.JS(pageJS), //nolint:gosec // they are ours, and embedded
	})
	if err != nil {
		return fmt.Errorf("report: write the page: %w", err)
	}
	return nil
}

// source names a text that may run or style (CSP Level 3, section 2.3.1: hash-source).
func source(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
