package policy

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A sheet is an input document as bytes. They say what the document is and nothing else, each
// value with its type and length, the members of an object by name, so that different documents
// have different bytes, and reading them back (reader.go) gives the document.
//
//	value  = null / false / true / number text / string text / array value… end /
//	         object (name value)… end / aside digest / body
//	text   = length bytes
//	name   = length+1 bytes
//
// What is long and often the same stands aside, named by a SHA-256 digest of its own bytes.
type sheet struct {
	bytes  []byte
	values int      // written so far, for the reader to make room
	asides []*aside // in the order of their digests
	unique bool     // a body is aside, or in the bytes: no other check has this document
	sorted []string // names of members, one object's after another's
}

// The marks that begin a value. end closes arrays and objects; no mark or name begins with it.
const (
	end byte = iota
	markNull
	markFalse
	markTrue
	markNumber
	markString
	markArray
	markObject
	markAside
	markBody
)

// reset forgets the document. The bytes may be credentials, so they are not left lying about.
func (s *sheet) reset() {
	clear(s.bytes)
	clear(s.asides)
	clear(s.sorted)
	s.bytes, s.asides, s.sorted, s.values, s.unique = s.bytes[:0], s.asides[:0], s.sorted[:0], 0, false
}

func (s *sheet) mark(m byte) {
	s.bytes = append(s.bytes, m)
	s.values++
}

func (s *sheet) object() { s.mark(markObject) }
func (s *sheet) array()  { s.mark(markArray) }
func (s *sheet) end()    { s.bytes = append(s.bytes, end) }
func (s *sheet) null()   { s.mark(markNull) }

func (s *sheet) boolean(value bool) { //nolint:revive // it is what is written
	if value {
		s.mark(markTrue)
	} else {
		s.mark(markFalse)
	}
}

func (s *sheet) text(value string) {
	s.mark(markString)
	s.bytes = binary.AppendUvarint(s.bytes, uint64(len(value)))
	s.bytes = append(s.bytes, value...)
}

func (s *sheet) number(text string) {
	s.mark(markNumber)
	s.bytes = binary.AppendUvarint(s.bytes, uint64(len(text)))
	s.bytes = append(s.bytes, text...)
}

func (s *sheet) integer(value int64) {
	var digits [20]byte
	s.number(string(strconv.AppendInt(digits[:0], value, 10)))
}

func (s *sheet) name(name string) {
	s.bytes = binary.AppendUvarint(s.bytes, uint64(len(name))+1)
	s.bytes = append(s.bytes, name...)
}

// aside refers to a value that its digest names.
func (s *sheet) aside(a *aside) {
	s.mark(markAside)
	s.bytes = append(s.bytes, a.digest[:]...)
	s.asides = append(s.asides, a)
}

// body refers to a value that the bytes do not tell.
func (s *sheet) body(value ast.Value) {
	s.mark(markBody)
	s.asides = append(s.asides, &aside{value: value})
	s.alone()
}

// alone says that no other check has this document, or that it is too large to keep.
func (s *sheet) alone() { s.unique = true }

// member begins a member that is read. The part of any other is nil.
func (s *sheet) member(p *part, name string) *part {
	of := p.at(name)
	if of != nil {
		s.name(name)
	}
	return of
}

// textMember writes a string that is set and read.
func (s *sheet) textMember(p *part, name, value string) {
	if value != "" && s.member(p, name) != nil {
		s.text(value)
	}
}

// integerMember writes a number that is set and read.
func (s *sheet) integerMember(p *part, name string, value int64) {
	if value != 0 && s.member(p, name) != nil {
		s.integer(value)
	}
}

// names lists the members of an object that are there and read, sorted; all of no part. The list is good until the
// document is done.
func names[V any](s *sheet, p *part, object map[string]V) []string {
	begin := len(s.sorted)
	if p == nil || p.whole {
		for name := range object {
			s.sorted = append(s.sorted, name)
		}
		slices.Sort(s.sorted[begin:])
		return s.sorted[begin:]
	}
	for i := range p.members {
		if _, ok := object[p.members[i].name]; ok {
			s.sorted = append(s.sorted, p.members[i].name)
		}
	}
	return s.sorted[begin:]
}

// json writes a JSON value, and what else has a form in Rego: what p reads of it, all where p is nil.
func (s *sheet) json(p *part, value any) error {
	switch v := value.(type) {
	case nil:
		s.null()
	case bool:
		s.boolean(v)
	case string:
		s.text(v)
	case json.Number:
		s.number(string(v))
	case []any:
		s.array()
		for _, element := range v {
			if err := s.json(nil, element); err != nil {
				return err
			}
		}
		s.end()
	case map[string]any:
		return s.jsonObject(p, v)
	default:
		converted, err := ast.InterfaceToValue(value)
		if err != nil {
			return err
		}
		return s.converted(p, converted)
	}
	return nil
}

func (s *sheet) jsonObject(p *part, object map[string]any) error {
	s.object()
	for _, name := range names(s, p, object) {
		s.name(name)
		if err := s.json(p.at(name), object[name]); err != nil {
			return err
		}
	}
	s.end()
	return nil
}

// converted writes what OPA has made of a value of Go's.
func (s *sheet) converted(p *part, value ast.Value) error {
	if number, ok := value.(ast.Number); ok {
		s.number(string(number))
		return nil
	}
	plain, err := ast.JSON(value)
	if err != nil {
		return err
	}
	return s.json(p, plain)
}
