package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"
)

// pairs calls f with each key and value of a mapping whose key is a name that was not there before.
func (s *source) pairs(node *yaml.Node, path string, f func(key, value *yaml.Node, child string)) {
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		child := join(path, key.Value)
		first, again := lines[key.Value]
		switch {
		case key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge":
			s.add(positionOf(key), child, "YAML merge keys are not supported; write the values out")
		case !s.plain(key, child):
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" && key.ShortTag() != "!!timestamp":
			s.add(positionOf(key), child, "a name must be text; put it in quotes if it is meant")
		case again:
			s.add(positionOf(key), child, "set twice; first in line %d", first)
		default:
			lines[key.Value] = key.Line
			f(key, value, child)
		}
	}
}

// unknown notes an unknown field, with the known one that is meant, if one is near. That one then
// counts as being in the file, so that it is not also missed.
func (s *source) unknown(key *yaml.Node, path, child string, t reflect.Type) {
	near := nearest(key.Value, t)
	if near == "" {
		s.add(positionOf(key), child, "unknown field")
		return
	}
	s.add(positionOf(key), child, "unknown field; did you mean %q?", near)
	if !s.has(join(path, near)) {
		s.at[join(path, near)] = positionOf(key)
	}
}

// nearest is the field that name was likely meant to be: one for which a third of its letters, or two
// of a short name, are wrong at most.
func nearest(name string, t reflect.Type) string {
	near, least := "", max(2, len(name)/3)+1
	if len(name) > maxShown {
		return "" // comparing costs the product of the lengths
	}
	for _, field := range fields(t) {
		known := field.Tag.Get("yaml")
		distance := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(known))
		if distance < least && distance < len(name) {
			near, least = known, distance
		}
	}
	return near
}

// fields are the fields of a struct that the file can set.
func fields(t reflect.Type) []reflect.StructField {
	var found []reflect.StructField
	for _, field := range reflect.VisibleFields(t) {
		if field.Tag.Get("yaml") != "" {
			found = append(found, field)
		}
	}
	return found
}

// join is the path of the setting name under path. A name that would make the path unreadable is
// quoted and cut.
func join(path, name string) string {
	odd := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-')
	}
	switch {
	case name == "" || len(name) > maxShown || strings.ContainsFunc(name, odd):
		return path + "[" + shown(name) + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

// maxShown keeps a mistake on one line of a terminal.
const maxShown = 40

// shown quotes what the file says, cut to maxShown characters.
func shown(text string) string {
	if runes := []rune(text); len(runes) > maxShown {
		text = string(runes[:maxShown]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
