package policy

import (
	"crypto/sha256"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A reader makes a document of a sheet. All strings are parts of one copy of its bytes, and all
// terms of one block: that is half of the allocations.
type reader struct {
	rest   string
	terms  []ast.Term
	asides []*aside
	known  vocabulary

	// What was read so far of the arrays and objects that are open.
	elements []*ast.Term
	members  [][2]*ast.Term
}

// A vocabulary holds the names that a document is likely to have. It never changes.
type vocabulary map[string]*ast.Term

// newVocabulary has the names of the input that every check has, and those that the policy speaks of.
func newVocabulary(p *part) vocabulary {
	v := vocabulary{}
	v.add("attributes", "source", "destination", "request", "http", "time", "contextExtensions",
		"address", "socketAddress", "portValue", "principal", "seconds", "nanos",
		"id", "method", "headers", "path", "host", "scheme", "protocol", "size",
		"version", "ext_authz", "encoding", "port", "tokens", "status", "issuer", "claims", "header",
		"parsed_path", "parsed_query", "parsed_body", "truncated_body", "path_ambiguous")
	v.addMembers(p)
	return v
}

func (v vocabulary) add(names ...string) {
	for _, name := range names {
		v[name] = ast.StringTerm(name)
	}
}

func (v vocabulary) addMembers(p *part) {
	for _, m := range p.members {
		v.add(m.name)
		v.addMembers(m.part)
	}
}

// document reads the sheet back.
func (s *sheet) document(known vocabulary) (*ast.Term, error) {
	r := reader{rest: string(s.bytes), terms: make([]ast.Term, s.values), asides: s.asides, known: known}
	return r.value()
}

func (r *reader) value() (*ast.Term, error) {
	t := &r.terms[0]
	r.terms = r.terms[1:]
	mark := r.rest[0]
	r.rest = r.rest[1:]
	var err error
	switch mark {
	case markNull:
		t.Value = ast.InternedNullValue
	case markFalse:
		t.Value = ast.InternedBooleanFalseValue
	case markTrue:
		t.Value = ast.InternedBooleanTrueValue
	case markNumber:
		t.Value = ast.Number(r.text(r.length()))
	case markString:
		t.Value = ast.String(r.text(r.length()))
	case markArray:
		t.Value, err = r.array()
	case markObject:
		t.Value, err = r.object()
	case markAside:
		r.text(sha256.Size)
		t.Value, err = r.aside()
	case markBody:
		t.Value, err = r.aside()
	}
	return t, err
}

func (r *reader) aside() (ast.Value, error) {
	a := r.asides[0]
	r.asides = r.asides[1:]
	return a.read()
}

func (r *reader) array() (ast.Value, error) {
	begin := len(r.elements)
	for r.rest[0] != end {
		element, err := r.value()
		if err != nil {
			return nil, err
		}
		r.elements = append(r.elements, element)
	}
	r.rest = r.rest[1:]
	kept := append([]*ast.Term(nil), r.elements[begin:]...)
	r.elements = r.elements[:begin]
	return ast.NewArray(kept...), nil
}

func (r *reader) object() (ast.Value, error) {
	begin := len(r.members)
	for length := r.length(); length > 0; length = r.length() {
		name := r.name(length - 1)
		value, err := r.value()
		if err != nil {
			return nil, err
		}
		r.members = append(r.members, [2]*ast.Term{name, value})
	}
	object := ast.NewObject(r.members[begin:]...)
	r.members = r.members[:begin]
	return object, nil
}

func (r *reader) name(length int) *ast.Term {
	text := r.text(length)
	if term, ok := r.known[text]; ok {
		return term
	}
	return ast.StringTerm(text)
}

// length reads what [encoding/binary.AppendUvarint] wrote.
func (r *reader) length() int {
	length, shift := 0, 0
	for i := 0; ; i++ {
		b := r.rest[i]
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			r.rest = r.rest[i+1:]
			return length
		}
		shift += 7
	}
}

func (r *reader) text(length int) string {
	text := r.rest[:length]
	r.rest = r.rest[length:]
	return text
}
