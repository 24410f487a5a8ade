package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decode lays a node over v, the setting at path. It knows the kinds of values that [Config] is
// made of, and no others; tag is that of the field which holds v.
func (s *source) decode(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	s.at[path] = positionOf(node)
	if !s.plain(node, path) {
		return
	}
	text, isText := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr())
	if isNull(node) {
		// A section may have no settings. A setting without a value is refused: an empty
		// clientCAFile from a template must not open a listener.
		if isText || v.Kind() != reflect.Struct && v.Kind() != reflect.Map {
			s.fault(path, "has no value; leave the name out too, to get the default")
		}
		return
	}
	if isText {
		s.text(node, path, text.UnmarshalText, tag)
		if size, isSize := reflect.TypeAssert[Size](v); isSize && size == 0 && tag.Get("empty") != "ok" && !s.wrong[path] {
			s.fault(path, "must be from 1 byte to 1GiB")
		}
		if count, isCount := reflect.TypeAssert[Count](v); isCount && count == 0 && tag.Get("empty") != "ok" && !s.wrong[path] {
			s.fault(path, notCount)
		}
		return
	}
	s.value(node, path, v, tag)
}

func (s *source) value(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		s.decode(node, path, v.Elem(), tag)
	case reflect.Struct:
		s.structure(node, path, v)
	case reflect.Slice:
		s.list(node, path, v, tag)
	case reflect.Map:
		s.data(node, path, v)
	case reflect.Bool:
		if s.expect(node, path, "true or false") {
			v.SetBool(strings.EqualFold(node.Value, "true"))
		}
	case reflect.Int64:
		s.text(node, path, duration(v), tag)
	default:
		s.word(node, path, v, tag)
	}
}

// plain refuses what makes a value differ from how it reads.
func (s *source) plain(node *yaml.Node, path string) bool {
	switch {
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		s.add(positionOf(node), path, "YAML anchors and aliases are not supported; write the value out")
	case node.Style&yaml.TaggedStyle != 0:
		s.add(positionOf(node), path, "YAML tags are not supported")
	default:
		return true
	}
	return false
}

func isNull(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

func (s *source) structure(node *yaml.Node, path string, v reflect.Value) {
	if !s.expect(node, path, "a mapping") {
		return
	}
	s.pairs(node, path, func(key, value *yaml.Node, child string) {
		i := slices.IndexFunc(fields(v.Type()), func(f reflect.StructField) bool { return f.Tag.Get("yaml") == key.Value })
		if i < 0 {
			s.unknown(key, path, child, v.Type())
			return
		}
		field := fields(v.Type())[i]
		s.decode(value, child, v.FieldByIndex(field.Index), field.Tag)
	})
}

func (s *source) list(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if !s.expect(node, path, "a list") {
		return
	}
	if len(node.Content) == 0 && tag.Get("empty") != "ok" {
		s.fault(path, "must not be empty")
	}
	v.Set(reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content)))
	elements := reflect.StructTag(strings.Replace(string(tag), `empty:"ok"`, "", 1))
	for i, element := range node.Content {
		s.decode(element, fmt.Sprintf("%s[%d]", path, i), v.Index(i), elements)
	}
}

// text gives a scalar's text to parse, whose error is the mistake.
func (s *source) text(node *yaml.Node, path string, parse func([]byte) error, tag reflect.StructTag) {
	switch {
	case node.Kind != yaml.ScalarNode:
		s.fault(path, "must be text, not %s", kindOf(node))
	case node.Value == "" && tag.Get("empty") != "ok":
		s.fault(path, "must not be empty")
	default:
		if err := parse([]byte(node.Value)); err != nil {
			s.fault(path, "%v", err)
		}
	}
}

// word reads a text, which must be one of the tag's where it has any.
func (s *source) word(node *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if kind := kindOf(node); node.Kind == yaml.ScalarNode && kind != "text" {
		s.fault(path, "must be text, not %s; put it in quotes if it is meant", kind)
		return
	}
	s.text(node, path, func(text []byte) error {
		enum, limited := tag.Lookup("enum")
		if limited && !slices.Contains(strings.Split(enum, ","), string(text)) {
			message := fmt.Sprintf("unknown value %s; must be one of %s", shown(string(text)), strings.ReplaceAll(enum, ",", ", "))
			if note := tag.Get("note"); note != "" {
				message += " (" + note + ")"
			}
			return errors.New(message)
		}
		v.SetString(string(text))
		return nil
	}, tag)
}

func duration(v reflect.Value) func([]byte) error {
	return func(text []byte) error {
		d, err := time.ParseDuration(string(text))
		if err != nil {
			return errors.New("must be a duration such as 500ms or 1m30s")
		}
		v.SetInt(int64(d))
		return nil
	}
}

// expect refuses a node of another kind.
func (s *source) expect(node *yaml.Node, path, kind string) bool {
	if kindOf(node) == kind {
		return true
	}
	s.fault(path, "must be %s, not %s", kind, kindOf(node))
	return false
}

func kindOf(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.ShortTag() == "!!bool":
		return "true or false"
	case node.ShortTag() == "!!int", node.ShortTag() == "!!float":
		return "a number"
	}
	return "text"
}
