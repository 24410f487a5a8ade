package casefile

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Invariants is a file that says what a policy must never allow.
type Invariants struct {
	Name  string
	Path  string         // the entrypoint; "": the one that is configured
	Slots []string       // the token slots, where no configuration names them
	Data  map[string]any // merged under data
	List  []Invariant
}

// An Invariant is a condition for which no request may be allowed.
type Invariant struct {
	Note  string
	Line  int
	Never string // the body of a rule, in Rego
	At    int    // the line at which that begins
}

// IsInvariants tells by its name whether a file holds invariants.
func IsInvariants(name string) bool {
	return slices.ContainsFunc([]string{".invariants.yaml", ".invariants.yml", ".invariants.json"}, func(end string) bool {
		return len(name) > len(end) && strings.HasSuffix(name, end)
	})
}

// ParseInvariants reads a file of invariants, in YAML or JSON. An error is [Mistakes].
func ParseInvariants(name string, text []byte) (*Invariants, error) {
	r := &reader{file: name}
	out := &Invariants{Name: name}
	if root := r.document(text); root != nil {
		r.fields(root, fields{
			"path":  func(n *yaml.Node) { out.Path = r.text(n) },
			"slots": func(n *yaml.Node) { out.Slots = r.texts(n) },
			"data":  func(n *yaml.Node) { out.Data = r.object(n) },
			"invariants": func(n *yaml.Node) {
				for _, item := range r.list(n) {
					out.List = append(out.List, r.invariant(item))
				}
			},
		})
		if len(out.List) == 0 {
			r.add(root, "there are no invariants")
		}
	}
	return out, r.err()
}

func (r *reader) invariant(node *yaml.Node) Invariant {
	out := Invariant{Line: node.Line}
	r.fields(node, fields{
		"note": func(n *yaml.Node) { out.Note = r.text(n) },
		"never": func(n *yaml.Node) {
			out.Never, out.At = r.text(n), n.Line
			if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
				out.At++ // the text begins below its mark
			}
		},
	})
	if out.Note == "" {
		r.add(node, "note: is missing; say what must never happen")
	}
	if strings.TrimSpace(out.Never) == "" {
		r.add(node, "never: is missing; it is the condition, in Rego")
	}
	return out
}
