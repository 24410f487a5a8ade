package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	docs "github.com/sallyport/sallyport/pkg/report"
)

// documentFormats are those of commands that find something: for people, for a pull request, for a
// browser and for programs.
var documentFormats = []string{"pretty", "markdown", "html", "json"}

// unknownFormat says which formats there are.
func unknownFormat(format string) error {
	return usageError{fmt.Errorf("--format: %q is not one of %s", format, strings.Join(documentFormats, ", "))}
}

// writeDocument writes what was found: the document, or as JSON the value that it was made of.
func writeDocument(out io.Writer, format string, d *docs.Document, value any) error {
	switch format {
	case "markdown":
		return d.WriteMarkdown(out)
	case "html":
		return d.WriteHTML(out)
	case "json":
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(value)
	}
	return d.WriteText(out, layoutOf(out))
}

// layoutOf is what a terminal can show; COLUMNS overrides its width, and is the width of a pipe.
func layoutOf(out io.Writer) docs.Layout {
	_, colour := onTerminal(out)
	layout := docs.Layout{Width: terminalWidth(out), Colour: colour}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && columns > 0 {
		layout.Width = columns
	}
	return layout
}
