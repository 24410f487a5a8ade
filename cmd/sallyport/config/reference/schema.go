package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

type object = map[string]any

// The forms of texts that are numbers. A duration is one of time.ParseDuration's that is
// not negative.
const (
	durationPattern = `^[+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`
	zeroPattern     = `^[^1-9]*$`
	sizePattern     = `^[0-9]+(KiB|MiB|GiB)?$`
	addressPattern  = `^(unix:///.+|[^/ ]*:[0-9]{1,5})$`
	sharePattern    = `^(([0-9]{1,2}(\.[0-9]+)?|100)%|0?\.[0-9]+|1)$`
	maxSize         = 1 << 30
	maxCount        = 1_000_000_000
)

// writeSchema writes a JSON Schema of draft 2020-12.
func writeSchema(root setting) ([]byte, error) {
	schema, err := section(root.below)
	if err != nil {
		return nil, err
	}
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "The configuration of Sallyport"
	schema["type"] = []string{"object", "null"} // an empty file is one
	text, err := json.MarshalIndent(schema, "", "  ")
	return append(text, '\n'), err
}

// section is the schema of a mapping with settings.
func section(settings []setting) (object, error) {
	properties := object{}
	var required []string
	var alternatives []object
	var excluded []object
	needed := object{}
	for _, s := range settings {
		schema, err := s.schema()
		if err != nil {
			return nil, err
		}
		properties[s.name] = schema
		switch other := s.tag.Get("or"); {
		case other != "":
			alternatives = []object{{"required": []string{s.name}}, {"required": []string{other}}}
		case s.tag.Get("required") != "":
			required = append(required, s.name)
		}
		if other := s.tag.Get("needs"); other != "" {
			needed[s.name] = []string{other}
		}
		for other := range strings.SplitSeq(s.tag.Get("excludes"), ",") {
			if other != "" {
				excluded = append(excluded, object{"required": []string{s.name, other}})
			}
		}
	}
	schema := object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	if len(alternatives) > 0 {
		schema["anyOf"] = alternatives
	}
	if len(excluded) > 0 {
		schema["not"] = object{"anyOf": excluded}
	}
	if len(needed) > 0 {
		schema["dependentRequired"] = needed
	}
	return schema, nil
}

// schema is that of a setting's value.
func (s setting) schema() (object, error) {
	schema, err := s.form()
	if err != nil {
		return nil, err
	}
	schema["description"] = s.doc
	text, err := s.defaultText()
	if err != nil {
		return nil, err
	}
	switch {
	case s.typ.Kind() == reflect.Bool:
		schema["default"] = text == "true"
	case s.typ == reflect.TypeFor[config.Count]():
		schema["default"] = json.Number(text)
	case text != "" && s.typ.Kind() != reflect.Slice:
		schema["default"] = text
	}
	return schema, nil
}

// form is the schema of a setting's type, without what its tags add.
func (s setting) form() (object, error) {
	switch s.typ {
	case reflect.TypeFor[config.Address]():
		return s.text(addressPattern), nil
	case reflect.TypeFor[config.Size]():
		return s.size(), nil
	case reflect.TypeFor[config.Count]():
		return s.count(), nil
	case reflect.TypeFor[config.Share]():
		return object{"anyOf": []object{
			{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"type": "string", "pattern": sharePattern, "not": object{"pattern": zeroPattern}},
		}}, nil
	case reflect.TypeFor[map[string]string]():
		return object{"type": []string{"object", "null"}, "additionalProperties": object{"type": "string"}}, nil
	case reflect.TypeFor[time.Duration]():
		return s.duration(), nil
	}
	return s.formOfKind()
}

func (s setting) count() object {
	least, pattern := 1, "^0*([1-9][0-9]{0,8}|1000000000)$"
	if s.mayBeEmpty() {
		least, pattern = 0, "^0*([0-9]{1,9}|1000000000)$"
	}
	return object{"anyOf": []object{
		{"type": "integer", "minimum": least, "maximum": maxCount}, {"type": "string", "pattern": pattern},
	}}
}

func (s setting) size() object {
	if s.mayBeEmpty() {
		return object{"anyOf": []object{
			{"type": "integer", "minimum": 0, "maximum": maxSize}, {"type": "string", "pattern": sizePattern},
		}}
	}
	return object{"anyOf": []object{
		{"type": "integer", "minimum": 1, "maximum": maxSize},
		{"type": "string", "pattern": sizePattern, "not": object{"pattern": zeroPattern}},
	}}
}

func (s setting) duration() object {
	if s.mayBeEmpty() {
		return object{"anyOf": []object{{"const": 0}, {"type": "string", "pattern": durationPattern}}}
	}
	return object{"type": "string", "pattern": durationPattern, "not": object{"pattern": zeroPattern}}
}

func (s setting) formOfKind() (object, error) {
	switch s.typ.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}, nil
	case reflect.String:
		return s.word()
	case reflect.Slice:
		return s.list()
	case reflect.Map:
		return object{"type": []string{"object", "null"}}, nil
	case reflect.Pointer:
		return section(s.below)
	case reflect.Struct:
		schema, err := section(s.below)
		if err == nil {
			schema["type"] = []string{"object", "null"} // a section may have no settings
		}
		return schema, err
	}
	return nil, fmt.Errorf("%s: no schema for the type %s", s.path, s.typ)
}

func (s setting) list() (object, error) {
	schema := object{"type": "array"}
	var err error
	if s.typ.Elem().Kind() == reflect.Struct {
		schema["items"], err = section(s.below)
	} else {
		element := setting{path: s.path, typ: s.typ.Elem(), tag: reflect.StructTag(strings.Replace(string(s.tag), `empty:"ok"`, "", 1))}
		schema["items"], err = element.word()
	}
	if !s.mayBeEmpty() {
		schema["minItems"] = 1
	}
	if s.typ.Elem() == reflect.TypeFor[config.Rule]() { // a rule that is alone needs no name
		schema["if"], schema["then"] = object{"minItems": 2}, object{"items": object{"required": []string{"name"}}}
	}
	return schema, err
}

// word is the schema of a text that is not a number in disguise.
func (s setting) word() (object, error) {
	if enum := s.tag.Get("enum"); enum != "" {
		return object{"enum": strings.Split(enum, ",")}, nil
	}
	name := s.tag.Get("format")
	if name == "" {
		return s.text(""), nil
	}
	format, ok := config.Formats()[name]
	if !ok {
		return nil, fmt.Errorf("%s: no format %q", s.path, name)
	}
	schema := s.text(format.Pattern)
	if len(format.Except) > 0 {
		schema["not"] = object{"pattern": "^(" + strings.Join(anyCase(format.Except), "|") + ")$"}
	}
	return schema, nil
}

// text is the schema of a text of a pattern; "" is any.
func (s setting) text(pattern string) object {
	schema := object{"type": "string"}
	switch {
	case pattern != "" && s.mayBeEmpty():
		schema["anyOf"] = []object{{"const": ""}, {"pattern": pattern}}
	case pattern != "":
		schema["pattern"] = pattern
	}
	if !s.mayBeEmpty() {
		schema["minLength"] = 1
	}
	return schema
}

// anyCase writes words as patterns that match them in small letters and capitals: ECMA-262 has no
// flag for it within a pattern.
func anyCase(words []string) []string {
	patterns := make([]string, 0, len(words))
	for _, word := range words {
		var pattern strings.Builder
		for _, r := range word {
			if unicode.IsLetter(r) {
				fmt.Fprintf(&pattern, "[%c%c]", unicode.ToUpper(r), unicode.ToLower(r))
				continue
			}
			pattern.WriteRune(r)
		}
		patterns = append(patterns, pattern.String())
	}
	return patterns
}
