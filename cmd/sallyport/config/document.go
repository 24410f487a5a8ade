package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// document reads data as one YAML document and returns its root; nil where it has none, or where
// there is a mistake.
func (s *source) document(data []byte) *yaml.Node {
	if len(data) > maxFileBytes {
		s.fault("", "larger than 1 MiB")
		return nil
	}
	if text, what := readable(data); what != "" {
		s.add(endOf(text), "", "%s", what)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		s.syntax(data, err)
		return nil
	}
	switch err := decoder.Decode(&next); {
	case err == nil:
		s.add(positionOf(&next), "", "a second YAML document; there must be one")
	case !errors.Is(err, io.EOF):
		s.syntax(data, err)
	default:
		return doc.Content[0]
	}
	return nil
}

// syntax notes a parser's error, which has at most a line.
func (s *source) syntax(data []byte, err error) {
	if errors.Is(err, io.EOF) {
		return // no document at all
	}
	// As in "yaml: line 3: did not find expected key".
	parts := regexp.MustCompile(`(?s)^(?:yaml: )?(?:line (\d+): )?(.*)$`).FindStringSubmatch(err.Error())
	number, _ := strconv.Atoi(parts[1])
	lines := strings.Split(string(data), "\n")
	at := position{line: min(max(number, 1), len(lines)), column: 1}
	line := lines[at.line-1]
	if indent := len(line) - len(strings.TrimLeft(line, " \t")); indent < len(line) {
		at.column += indent
	}
	s.add(at, "", "not YAML: %s", parts[2])
}

// readable is the text up to what YAML does not allow, and what that is (YAML 1.2, section 5.1).
func readable(data []byte) (text []byte, what string) {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return data[:i], "not UTF-8"
		case unicode.IsControl(r) && !strings.ContainsRune("\t\n\r\u0085", r):
			return data[:i], "a control character"
		}
		i += size
	}
	return data, ""
}

// endOf is the position that follows text.
func endOf(text []byte) position {
	line := text[bytes.LastIndexByte(text, '\n')+1:]
	return position{line: bytes.Count(text, []byte("\n")) + 1, column: utf8.RuneCount(line) + 1}
}
