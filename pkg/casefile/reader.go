package casefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"
)

// maxFileBytes is far above what people write by hand.
const maxFileBytes = 1 << 20

// A reader reads one YAML document strictly. What is wrong is noted, and reading goes on.
type reader struct {
	file     string
	mistakes Mistakes
}

// fields are the names that a mapping may have, and what reads each.
type fields map[string]func(*yaml.Node)

func (r *reader) add(at *yaml.Node, format string, args ...any) {
	r.mistakes = append(r.mistakes, Mistake{
		File: r.file, Line: max(at.Line, 1), Column: max(at.Column, 1), Message: fmt.Sprintf(format, args...),
	})
}

// document is the root of the one document, nil where there is none.
func (r *reader) document(text []byte) *yaml.Node {
	var doc, next yaml.Node
	start := &yaml.Node{}
	if len(text) > maxFileBytes {
		r.add(start, "larger than 1 MiB")
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
		r.add(start, "the file is empty")
		return nil
	} else if err != nil {
		r.syntax(text, err)
		return nil
	}
	if err := decoder.Decode(&next); err == nil {
		r.add(&next, "a second YAML document; there must be one")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(text, err)
	}
	return doc.Content[0]
}

// syntax notes a parser's error, which has at most a line. The commonest is a curl line with a header:
// to YAML, the colon makes it a mapping.
func (r *reader) syntax(text []byte, err error) {
	parts := regexp.MustCompile(`(?s)^(?:yaml: )?(?:line (\d+): )?(.*)$`).FindStringSubmatch(err.Error())
	line, _ := strconv.Atoi(parts[1])
	hint := ""
	if lines := strings.Split(string(text), "\n"); line > 0 && line <= len(lines) && strings.Contains(lines[line-1], "curl ") {
		hint = `; write a curl line as a block, after "request: |"`
	}
	r.add(&yaml.Node{Line: line}, "not YAML: %s%s", parts[2], hint)
}

// pairs calls f with each key and value of a mapping.
func (r *reader) pairs(node *yaml.Node, f func(key, value *yaml.Node)) {
	if !r.expect(node, yaml.MappingNode, "a mapping") {
		return
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		first, again := lines[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			r.add(key, "a name must be text")
		case again:
			r.add(key, "%s: set twice; first in line %d", shown(key.Value), first)
		default:
			lines[key.Value] = key.Line
			f(key, node.Content[i+1])
		}
	}
}

// fields reads a mapping whose names are known.
func (r *reader) fields(node *yaml.Node, known fields) {
	r.pairs(node, func(key, value *yaml.Node) {
		read, ok := known[key.Value]
		if !ok {
			r.add(key, "%s: unknown field%s", shown(key.Value), nearest(key.Value, known))
			return
		}
		read(value)
	})
}

// nearest proposes the field that was likely meant: one for which a third of the letters are wrong at
// most, or two of a short name.
func nearest(name string, known fields) string {
	near, least := "", max(2, len(name)/3)+1
	if len(name) > maxShown {
		return "" // comparing costs the product of the lengths
	}
	for _, candidate := range slices.Sorted(maps.Keys(known)) {
		distance := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(candidate))
		if distance < least && distance < len(name) {
			near, least = candidate, distance
		}
	}
	if near == "" {
		return "; known are " + strings.Join(slices.Sorted(maps.Keys(known)), ", ")
	}
	return fmt.Sprintf("; did you mean %q?", near)
}

// maxShown keeps a mistake on one line of a terminal.
const maxShown = 40

func shown(text string) string {
	if runes := []rune(text); len(runes) > maxShown {
		text = string(runes[:maxShown]) + "…"
	}
	return strconv.Quote(text)
}

// expect refuses a node of another kind, and what makes a value differ from how it reads.
func (r *reader) expect(node *yaml.Node, kind yaml.Kind, what string) bool {
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		r.add(node, "YAML anchors and aliases are not supported; write the value out")
	case node.Style&yaml.TaggedStyle != 0:
		r.add(node, "YAML tags are not supported")
	case node.Kind != kind:
		r.add(node, "must be %s, not %s", what, kindOf(node))
	default:
		return true
	}
	return false
}

func kindOf(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(node):
		return "null"
	case node.ShortTag() == "!!bool":
		return "true or false"
	case node.ShortTag() == "!!int", node.ShortTag() == "!!float":
		return "a number"
	}
	return "text"
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func (r *reader) list(node *yaml.Node) []*yaml.Node {
	if !r.expect(node, yaml.SequenceNode, "a list") {
		return nil
	}
	return node.Content
}

func (r *reader) text(node *yaml.Node) string {
	if !r.expect(node, yaml.ScalarNode, "text") {
		return ""
	}
	if kind := kindOf(node); kind != "text" && node.ShortTag() != "!!timestamp" {
		r.add(node, "must be text, not %s; put it in quotes if it is meant", kind)
	}
	return node.Value
}

// texts reads a list of texts, or one text.
func (r *reader) texts(node *yaml.Node) []string {
	if node.Kind == yaml.ScalarNode {
		return []string{r.text(node)}
	}
	out := []string{}
	for _, item := range r.list(node) {
		out = append(out, r.text(item))
	}
	return out
}

func (r *reader) textMap(node *yaml.Node) map[string]string {
	out := map[string]string{}
	r.pairs(node, func(key, value *yaml.Node) { out[key.Value] = r.text(value) })
	return out
}

func (r *reader) bool(node *yaml.Node) bool {
	if r.expect(node, yaml.ScalarNode, "true or false") && kindOf(node) != "true or false" {
		r.add(node, "must be true or false, not %s", kindOf(node))
	}
	return strings.EqualFold(node.Value, "true")
}

func (r *reader) integer(node *yaml.Node, least, most int) int {
	if !r.expect(node, yaml.ScalarNode, "a number") {
		return 0
	}
	n, err := strconv.Atoi(node.Value)
	if err != nil || n < least || n > most {
		r.add(node, "must be a number from %d to %d", least, most)
	}
	return n
}

func (r *reader) time(node *yaml.Node) time.Time {
	if !r.expect(node, yaml.ScalarNode, "a time") {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, node.Value)
	if err != nil {
		r.add(node, "must be a time such as 2026-11-24T09:00:00Z")
	}
	return t
}

func (r *reader) object(node *yaml.Node) map[string]any {
	out := map[string]any{}
	r.pairs(node, func(key, value *yaml.Node) { out[key.Value] = r.any(value) })
	return out
}

// any is the value that a JSON document would give, with numbers kept as they are written.
func (r *reader) any(node *yaml.Node) any {
	switch kindOf(node) {
	case "a mapping":
		return r.object(node)
	case "a list":
		out := []any{}
		for _, item := range r.list(node) {
			out = append(out, r.any(item))
		}
		return out
	}
	if !r.expect(node, yaml.ScalarNode, "a value") {
		return nil
	}
	switch kindOf(node) {
	case "null":
		return nil
	case "true or false":
		return strings.EqualFold(node.Value, "true")
	case "a number":
		return r.number(node)
	}
	return node.Value
}

func (r *reader) number(node *yaml.Node) any {
	var integer int64
	var float float64
	switch {
	case json.Valid([]byte(node.Value)):
		return json.Number(node.Value)
	case node.ShortTag() == "!!int" && node.Decode(&integer) == nil:
		return json.Number(strconv.FormatInt(integer, 10))
	case node.Decode(&float) == nil && !math.IsInf(float, 0) && !math.IsNaN(float):
		return json.Number(strconv.FormatFloat(float, 'g', -1, 64))
	}
	r.add(node, "must be a number that JSON can write")
	return nil
}
