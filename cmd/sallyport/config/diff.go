package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// A Change is a setting that differs between two files.
type Change struct {
	Path     string
	Old, New string // "" where the setting is not there, or is not to be shown
	Restart  bool   // whether it takes effect at the next start only
}

// String is the change in one line.
func (c Change) String() string {
	text := c.Path + ":"
	switch {
	case c.Old == "" && c.New == "":
		text += " changed"
	case c.Old == "":
		text += " set to " + c.New
	case c.New == "":
		text += " taken away, was " + c.Old
	default:
		text += " " + c.Old + " -> " + c.New
	}
	if c.Restart {
		text += " (needs a restart)"
	}
	return text
}

// Diff lists the settings that are other ones in next, defaults included, in the order of the
// reference.
func (c *Config) Diff(next *Config) []Change {
	var d differ
	d.section(reflect.ValueOf(*c), reflect.ValueOf(*next), "", "")
	return d.changes
}

type differ struct{ changes []Change }

// section compares two mappings with settings. Tags are those of the mapping, which its settings
// inherit.
func (d *differ) section(old, next reflect.Value, path string, tag reflect.StructTag) {
	for _, field := range fields(old.Type()) {
		below := field.Tag
		if below.Get("restart") == "" && tag.Get("restart") != "" {
			below += ` restart:"yes"`
		}
		d.value(old.FieldByIndex(field.Index), next.FieldByIndex(field.Index), join(path, field.Tag.Get("yaml")), below)
	}
}

func (d *differ) value(old, next reflect.Value, path string, tag reflect.StructTag) {
	_, isText := reflect.TypeAssert[fmt.Stringer](old)
	switch {
	case reflect.DeepEqual(old.Interface(), next.Interface()):
	case old.Kind() == reflect.Pointer && !old.IsNil() && !next.IsNil():
		d.section(old.Elem(), next.Elem(), path, tag)
	case old.Kind() == reflect.Struct && !isText:
		d.section(old, next, path, tag)
	case old.Type() == reflect.TypeFor[[]Rule]():
		d.list(old, next, path, tag, func(r reflect.Value) string { return r.FieldByName("Name").String() })
	case old.Type() == reflect.TypeFor[map[string]any]():
		d.data(old.Interface().(map[string]any), next.Interface().(map[string]any), path, tag) //nolint:errcheck // the case says it
	case tag.Get("secret") != "" || old.Kind() == reflect.Slice && old.Type().Elem().Kind() == reflect.Struct:
		d.add(path, "", "", tag)
	default:
		d.add(path, text(old), text(next), tag)
	}
}

// list compares two lists whose elements have names.
func (d *differ) list(old, next reflect.Value, path string, tag reflect.StructTag, name func(reflect.Value) string) {
	olds, nexts := named(old, name), named(next, name)
	for i := range old.Len() {
		key := name(old.Index(i))
		if other, ok := nexts[key]; ok {
			d.section(old.Index(i), other, fmt.Sprintf("%s[%s]", path, key), tag)
		} else {
			d.add(fmt.Sprintf("%s[%s]", path, key), "a rule", "", tag)
		}
	}
	for i := range next.Len() {
		if key := name(next.Index(i)); !olds[key].IsValid() {
			d.add(fmt.Sprintf("%s[%s]", path, key), "", "a rule", tag)
		}
	}
}

func named(list reflect.Value, name func(reflect.Value) string) map[string]reflect.Value {
	out := make(map[string]reflect.Value, list.Len())
	for i := range list.Len() {
		out[name(list.Index(i))] = list.Index(i)
	}
	return out
}

// data compares what we know nothing about. Its values may be credentials, and are not shown.
func (d *differ) data(old, next map[string]any, path string, tag reflect.StructTag) {
	keys := maps.Clone(old)
	if keys == nil {
		keys = map[string]any{}
	}
	maps.Copy(keys, next)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		a, b := old[key], next[key]
		if reflect.DeepEqual(a, b) {
			continue
		}
		below, isMap := a.(map[string]any)
		other, isMapToo := b.(map[string]any)
		if isMap && isMapToo {
			d.data(below, other, join(path, key), tag)
		} else {
			d.add(join(path, key), "", "", tag)
		}
	}
}

func (d *differ) add(path, old, next string, tag reflect.StructTag) {
	d.changes = append(d.changes, Change{Path: path, Old: old, New: next, Restart: tag.Get("restart") != ""})
}

// text is a value as a person would write it; "" where there is none.
func text(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
		return ""
	case v.Kind() == reflect.Pointer:
		return "a section"
	case v.Kind() == reflect.Slice && v.Len() == 0:
		return ""
	}
	if s, ok := reflect.TypeAssert[fmt.Stringer](v); ok {
		return s.String()
	}
	return fmt.Sprint(v.Interface())
}
