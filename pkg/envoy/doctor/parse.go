package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parse reads the documents of a YAML or JSON text.
func parse(file string, text []byte) ([]*node, error) {
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(text) {
		root, err := parseJSON(file, text)
		return []*node{root}, err
	}
	return parseYAML(file, text)
}

// parseJSON does not leave JSON to the YAML reader, which is slow for the dump of a large mesh and does
// not take every string.
func parseJSON(file string, text []byte) (*node, error) {
	r := jsonReader{Decoder: json.NewDecoder(bytes.NewReader(text)), text: text, line: 1}
	r.UseNumber()
	root := &node{file: file, line: 1}
	if err := r.fill(root); err != nil {
		return nil, fmt.Errorf("doctor: %s: %w", file, err)
	}
	return root, nil
}

type jsonReader struct {
	*json.Decoder
	text []byte
	read int // the offset up to which lines are counted
	line int
}

// next reads a token, and notes its line.
func (r *jsonReader) next() (json.Token, error) {
	token, err := r.Token()
	at := int(r.InputOffset())
	r.line += bytes.Count(r.text[r.read:at], []byte("\n"))
	r.read = at
	return token, err
}

// fill reads one value.
func (r *jsonReader) fill(n *node) error {
	token, err := r.next()
	if err != nil {
		return err
	}
	if n.parent == nil || n.key == "" {
		n.line = r.line
	}
	switch token {
	case json.Delim('{'):
		n.kind = mapping
	case json.Delim('['):
		n.kind = list
	default:
		if token != nil {
			n.text = fmt.Sprint(token)
		}
		return nil
	}
	for r.More() {
		key := ""
		if n.kind == mapping {
			name, err := r.next()
			if err != nil {
				return err
			}
			key = fmt.Sprint(name)
		}
		if err := r.fill(n.child(key, r.line)); err != nil {
			return err
		}
	}
	_, err = r.next() // the bracket
	return err
}

func parseYAML(file string, text []byte) ([]*node, error) {
	var roots []*node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			return nil, fmt.Errorf("doctor: %s: %w", file, err)
		}
		root := &node{file: file, line: document.Line}
		b := yamlBuilder{left: maxNodes}
		if len(document.Content) == 1 {
			b.fill(root, document.Content[0])
		}
		if b.left == 0 {
			return nil, fmt.Errorf("doctor: %s: more than %d values, or more than %d levels: do its aliases multiply?", file, maxNodes, maxDepth)
		}
		roots = append(roots, root)
	}
}

// What aliases can make of a small file is bounded; they may even go round.
const (
	maxNodes = 5_000_000
	maxDepth = 1000
)

type yamlBuilder struct {
	left  int // of the values that may be made; 0: too many
	depth int
}

// fill makes a value of a YAML node, with aliases and merge keys resolved.
func (b *yamlBuilder) fill(n *node, y *yaml.Node) {
	if b.depth == maxDepth {
		b.left = 0
	}
	if b.left == 0 {
		return
	}
	b.left--
	b.depth++
	defer func() { b.depth-- }()
	if n.parent == nil || n.key == "" {
		n.line = y.Line
	}
	for y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mapping
		b.fields(n, y.Content)
	case yaml.SequenceNode:
		n.kind = list
		for _, item := range y.Content {
			b.fill(n.child("", item.Line), item)
		}
	default:
		if y.ShortTag() != "!!null" {
			n.text = y.Value
		}
		if y.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			n.line = y.Line
		}
	}
}

// fields adds those of a mapping; of a merge key, those that are not there by themselves.
func (b *yamlBuilder) fields(n *node, pairs []*yaml.Node) {
	var merged []*yaml.Node
	for i := 0; i+1 < len(pairs); i += 2 {
		switch key, value := pairs[i], pairs[i+1]; {
		case key.ShortTag() != "!!merge":
			b.fill(n.child(key.Value, key.Line), value)
		case value.Kind == yaml.SequenceNode:
			merged = append(merged, value.Content...)
		default:
			merged = append(merged, value)
		}
	}
	for _, value := range merged {
		from := &node{file: n.file}
		b.fill(from, value)
		for _, field := range from.items() {
			if n.field(field.key) == nil {
				field.parent, field.index = n, len(n.members)
				n.members = append(n.members, field)
			}
		}
	}
}

// embedded reads a YAML document that is the text of a value, such as a MeshConfig in a ConfigMap, and
// gives it the lines of the file that holds it.
func embedded(n *node) *node {
	roots, err := parseYAML(n.file, []byte(n.text))
	if err != nil || len(roots) != 1 {
		return nil
	}
	if strings.Contains(n.text, "\n") {
		roots[0].within(func(m *node) { m.line += n.line })
	}
	return roots[0]
}
