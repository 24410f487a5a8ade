package doctor

import (
	"strconv"
	"strings"
	"time"
)

// A node is a value of a file, with its place. A nil node is a value that is not there: every method
// takes it for an empty one.
type node struct {
	file   string
	line   int
	parent *node
	key    string // under which the parent has it; "" in a list
	index  int    // in the parent

	text    string  // of a scalar
	members []*node // of a mapping or a list
	kind    kind
}

type kind int

const (
	scalar kind = iota
	mapping
	list
)

// child makes a value under a key, or in a list where the key is "".
func (n *node) child(key string, line int) *node {
	c := &node{file: n.file, line: line, parent: n, key: key, index: len(n.members)}
	n.members = append(n.members, c)
	return c
}

// get is the value at a path of fields, in either of protobuf's spellings: typed_config, typedConfig.
func (n *node) get(path ...string) *node {
	for _, name := range path {
		n = n.field(name)
	}
	return n
}

func (n *node) field(name string) *node {
	if n == nil || n.kind != mapping {
		return nil
	}
	for _, m := range n.members {
		if spells(m.key, name) {
			return m
		}
	}
	return nil
}

// oneOf is the first of these fields that is there.
func (n *node) oneOf(names ...string) *node {
	for _, name := range names {
		if m := n.field(name); m != nil {
			return m
		}
	}
	return nil
}

// spells tells whether a key is a field's name, as in typed_config, or as protobuf's JSON mapping
// spells it, as in typedConfig.
func spells(key, name string) bool {
	if key == name {
		return true
	}
	at := 0
	for i := 0; i < len(name); i++ {
		c := name[i]
		if c == '_' && i+1 < len(name) {
			i++
			c = name[i] - 'a' + 'A'
		}
		if at == len(key) || key[at] != c {
			return false
		}
		at++
	}
	return at == len(key)
}

func (n *node) items() []*node {
	if n == nil || n.kind == scalar {
		return nil
	}
	return n.members
}

func (n *node) string() string {
	if n == nil {
		return ""
	}
	return n.text
}

// isTrue reads a bool, which may be wrapped as {value: true}.
func (n *node) isTrue() bool { return n.string() == "true" || n.get("value").string() == "true" }

func (n *node) isFalse() bool { return n.string() == "false" || n.get("value").string() == "false" }

// number reads a number; 0 where there is none.
func (n *node) number() float64 {
	text := n.string()
	if w := n.get("value"); w != nil {
		text = w.string()
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return value
}

// duration reads "0.5s" of protobuf or "500ms" of Kubernetes; ok is false where there is none.
func (n *node) duration() (value time.Duration, ok bool) {
	value, err := time.ParseDuration(n.string())
	return value, err == nil
}

// path tells where the value is in its file, as in static_resources.listeners[0].name.
func (n *node) path() string {
	if n == nil || n.parent == nil {
		return ""
	}
	above := n.parent.path()
	switch {
	case n.key == "":
		return above + "[" + strconv.Itoa(n.index) + "]"
	case strings.ContainsAny(n.key, ". []\""):
		return above + "[" + strconv.Quote(n.key) + "]"
	case above == "":
		return n.key
	}
	return above + "." + n.key
}

// within calls f with the value and all below it.
func (n *node) within(f func(*node)) {
	if n == nil {
		return
	}
	f(n)
	for _, m := range n.members {
		m.within(f)
	}
}

// protoType is the full name of the message in an Any, such as envoy.extensions.filters.http.lua.v3.Lua.
func (n *node) protoType() string {
	name := n.get("@type").string()
	return name[strings.LastIndexByte(name, '/')+1:]
}

// unwrapped is the message in an Any, where it is an xds.type.v3.TypedStruct the one in that; its type
// with it.
func (n *node) unwrapped() (value *node, name string) {
	name = n.protoType()
	if strings.HasSuffix(name, ".TypedStruct") {
		inner := n.get("type_url").string()
		return n.get("value"), inner[strings.LastIndexByte(inner, '/')+1:]
	}
	return n, name
}

// exact is the value under a key of a map, which has one spelling.
func (n *node) exact(key string) *node {
	for _, m := range n.items() {
		if m.key == key {
			return m
		}
	}
	return nil
}
