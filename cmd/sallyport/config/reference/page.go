package main

import (
	"bytes"
	_ "embed" // page.tmpl
	"reflect"
	"strings"
	"text/template"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

//go:embed page.tmpl
var pageText string

// A chapter is a section of the configuration on the page.
type chapter struct {
	Path string // "" for the whole file
	Doc  string
	Rows []row
}

// A row is a setting on the page.
type row struct {
	Path, Type, Default, Meaning, Allowed, Source string
}

func writePage(root setting) ([]byte, error) {
	page, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, err
	}
	chapters, err := chaptersOf(root)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, chapters)
	return out.Bytes(), err
}

// chaptersOf gives a section's chapter, and then those of the sections in it. What holds no
// setting of its own has no chapter.
func chaptersOf(s setting) ([]chapter, error) {
	this := chapter{Path: s.path, Doc: code(s)}
	if s.typ.Kind() == reflect.Slice {
		this.Path += "[]"
	}
	var others []chapter
	for _, b := range s.below {
		if !b.isSection() {
			r, err := b.row()
			if err != nil {
				return nil, err
			}
			this.Rows = append(this.Rows, r)
		}
		if len(b.below) > 0 {
			more, err := chaptersOf(b)
			if err != nil {
				return nil, err
			}
			others = append(others, more...)
		}
	}
	if len(this.Rows) == 0 {
		return others, nil
	}
	return append([]chapter{this}, others...), nil
}

func (s setting) row() (row, error) {
	text, err := s.defaultText()
	r := row{Path: "`" + s.path + "`", Type: s.typeText(), Meaning: code(s), Allowed: s.allowed(), Source: s.tag.Get("source")}
	switch {
	case s.tag.Get("or") != "":
		r.Default = "**required**, or `" + s.tag.Get("or") + "`"
	case s.tag.Get("required") != "":
		r.Default = "**required**"
	case text != "":
		r.Default = "`" + text + "`"
	}
	return r, err
}

// code is a setting's comment with the setting's name as code.
func code(s setting) string {
	if rest, found := strings.CutPrefix(s.doc, s.name+" "); found && s.name != "" {
		return "`" + s.name + "` " + rest
	}
	return s.doc
}

func (s setting) typeText() string {
	switch s.typ {
	case reflect.TypeFor[config.Address]():
		return "address"
	case reflect.TypeFor[config.Size]():
		return "size"
	case reflect.TypeFor[config.Count]():
		return "number"
	case reflect.TypeFor[config.Share]():
		return "share"
	case reflect.TypeFor[map[string]string]():
		return "mapping of texts"
	case reflect.TypeFor[time.Duration]():
		return "duration"
	}
	switch s.typ.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		if s.typ.Elem().Kind() == reflect.Struct {
			return "list of mappings"
		}
		return "list of texts"
	case reflect.String:
		return "text"
	}
	return "mapping"
}

// allowed says which values are.
func (s setting) allowed() string {
	if enum := s.tag.Get("enum"); enum != "" {
		text := "`" + strings.ReplaceAll(enum, ",", "`, `") + "`"
		if note := s.tag.Get("note"); note != "" {
			text += ". " + note
		}
		return text
	}
	var all []string
	if format, ok := config.Formats()[s.tag.Get("format")]; ok {
		all = append(all, format.Meaning)
	}
	for other := range strings.SplitSeq(s.tag.Get("excludes"), ",") {
		if other != "" {
			all = append(all, "not beside `"+other+"`")
		}
	}
	if other := s.tag.Get("needs"); other != "" {
		all = append(all, "only with `"+other+"`")
	}
	if why := s.tag.Get("required"); why != "" && why != "yes" {
		all = append(all, "required: "+why)
	}
	return strings.Join(all, "; ")
}
