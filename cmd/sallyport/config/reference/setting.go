package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// A setting is a field of the configuration, or, at the root, all of it.
type setting struct {
	path     string // such as jwt.rules[].issuer
	name     string
	typ      reflect.Type
	tag      reflect.StructTag
	doc      string // its first word is the setting's name, where it was the field's
	standard reflect.Value
	below    []setting // of a section, or of each element of a list of sections
}

// A reader reads the settings of types, with their comments and defaults.
type reader struct {
	comments  comments
	rule      config.Rule // of which the file says no more than it must
	candidate config.Candidate
}

func readSettings(dir string) (setting, error) {
	found, err := readComments(dir)
	if err != nil {
		return setting{}, err
	}
	least, err := config.Parse("least.yaml", []byte("jwt: {rules: [{issuer: 'https://a', audiences: [b]}]}\npolicy: {candidate: {}}"))
	if err != nil {
		return setting{}, err
	}
	r := reader{comments: found, rule: least.JWT.Rules[0], candidate: *least.Policy.Candidate}
	root := setting{typ: reflect.TypeFor[config.Config]()}
	root.below, err = r.fields(root.typ, reflect.ValueOf(config.Default()), "")
	return root, err
}

// fields reads the settings of a section.
func (r reader) fields(section reflect.Type, standard reflect.Value, path string) ([]setting, error) {
	var all []setting
	for _, field := range reflect.VisibleFields(section) {
		name := field.Tag.Get("yaml")
		if name == "" {
			continue
		}
		s := setting{
			path: strings.TrimPrefix(path+"."+name, "."), name: name, typ: field.Type, tag: field.Tag,
			standard: standard.FieldByIndex(field.Index),
		}
		doc := r.comments[section.Name()+"."+field.Name]
		if doc == "" {
			doc = r.comments[field.Type.Name()]
		}
		if doc == "" {
			return nil, fmt.Errorf("%s has no comment", s.path)
		}
		s.doc = strings.Replace(doc, field.Name+" ", name+" ", 1)
		if path != "" && field.Tag.Get("restart") != "" {
			s.doc += " A change needs a restart."
		}
		var err error
		if s.below, err = r.below(s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (r reader) below(s setting) ([]setting, error) {
	switch {
	case s.typ.Kind() == reflect.Slice && s.typ.Elem() == reflect.TypeFor[config.Rule]():
		return r.fields(s.typ.Elem(), reflect.ValueOf(r.rule), s.path+"[]")
	case s.typ.Kind() == reflect.Slice && s.typ.Elem().Kind() == reflect.Struct:
		return r.fields(s.typ.Elem(), reflect.Zero(s.typ.Elem()), s.path+"[]")
	case s.typ == reflect.TypeFor[*config.Candidate]():
		return r.fields(s.typ.Elem(), reflect.ValueOf(r.candidate), s.path)
	case s.typ.Kind() == reflect.Pointer:
		return r.fields(s.typ.Elem(), reflect.Zero(s.typ.Elem()), s.path)
	case s.isSection():
		return r.fields(s.typ, s.standard, s.path)
	}
	return nil, nil
}

// isSection tells a mapping with settings from an address, which is a struct too.
func (s setting) isSection() bool {
	return s.typ.Kind() == reflect.Struct && s.typ != reflect.TypeFor[config.Address]()
}

func (s setting) mayBeEmpty() bool { return s.tag.Get("empty") == "ok" }

// defaultText is the default as a file would say it; "" where there is none.
func (s setting) defaultText() (string, error) {
	if s.tag.Get("required") != "" {
		return "", nil
	}
	switch value := s.standard.Interface().(type) {
	case time.Duration:
		if value == 0 && !s.mayBeEmpty() { // none, where 0 could not be written
			return "", nil
		}
		return value.String(), nil
	case config.Size:
		return sizeText(int64(value)), nil
	case config.Count:
		return strconv.FormatInt(int64(value), 10), nil
	case config.Share:
		return value.String(), nil
	case config.Address:
		return value.String(), nil
	case bool:
		return fmt.Sprint(value), nil
	case string:
		return value, nil
	case []config.HeaderSource:
		var all []string
		for _, h := range value {
			prefix, err := json.Marshal(h.Prefix)
			if err != nil {
				return "", err
			}
			all = append(all, fmt.Sprintf("{name: %s, prefix: %s}", h.Name, prefix))
		}
		if len(all) > 0 {
			return "[" + strings.Join(all, ", ") + "]", nil
		}
	}
	return "", nil
}

func sizeText(bytes int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if bytes%unit.size == 0 {
			return fmt.Sprint(bytes/unit.size) + unit.name
		}
	}
	return fmt.Sprint(bytes)
}
