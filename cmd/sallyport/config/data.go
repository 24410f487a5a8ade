package config

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// data reads a mapping that we know nothing about, as JSON would be read, or one of texts.
func (s *source) data(node *yaml.Node, path string, v reflect.Value) {
	switch {
	case !s.expect(node, path, "a mapping"):
	case v.Type().Elem().Kind() == reflect.String:
		v.Set(reflect.ValueOf(s.texts(node, path)))
	default:
		v.Set(reflect.ValueOf(s.object(node, path)))
	}
}

func (s *source) texts(node *yaml.Node, path string) map[string]string {
	texts := make(map[string]string, len(node.Content)/2)
	s.pairs(node, path, func(key, value *yaml.Node, child string) {
		var text string
		s.decode(value, child, reflect.ValueOf(&text).Elem(), `empty:"ok"`)
		texts[key.Value] = text
	})
	return texts
}

func (s *source) object(node *yaml.Node, path string) map[string]any {
	object := make(map[string]any, len(node.Content)/2)
	s.pairs(node, path, func(key, value *yaml.Node, child string) {
		object[key.Value] = s.any(value, child)
	})
	return object
}

// any is the value that a JSON document with numbers kept as they are would give.
func (s *source) any(node *yaml.Node, path string) any {
	s.at[path] = positionOf(node)
	if !s.plain(node, path) {
		return nil
	}
	switch kind := kindOf(node); {
	case node.Kind == yaml.MappingNode:
		return s.object(node, path)
	case node.Kind == yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, element := range node.Content {
			list[i] = s.any(element, path+"["+strconv.Itoa(i)+"]")
		}
		return list
	case isNull(node):
		return nil
	case kind == "true or false":
		return strings.EqualFold(node.Value, "true")
	case kind == "a number":
		return s.number(node, path)
	}
	return node.Value
}

// number keeps a number as it is written where JSON can write it so, for no precision is lost then.
func (s *source) number(node *yaml.Node, path string) any {
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
	s.fault(path, "must be a number that JSON can write")
	return nil
}
