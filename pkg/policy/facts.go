package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"

	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// facts are what a record tells of the input of its decision.
type facts struct {
	past   *Past
	view   *view
	known  *part          // what is in the input if it was on the request; nil: that is not known
	plain  bool           // nothing in it is masked
	beside map[int]beside // by read: what the record has beside the input
	input  ast.Value      // after read
}

// A beside is what a record has of a place beside the input; nil is that there was nothing.
type beside struct{ value ast.Value }

func (v *view) facts(past *Past) *facts {
	f := &facts{past: past, view: v, known: v.known}
	b := &past.Basis
	f.plain = b.Input != nil && len(b.Masked) == 0 && len(b.Withheld) == 0 && !masked(string(b.Input))
	for _, n := range v.doubtful {
		if value, ok := past.beside(v.mentions.reads[n].path); ok {
			if f.beside == nil {
				f.beside = map[int]beside{}
			}
			f.beside[n] = beside{value}
		}
	}
	return f
}

// masked tells whether a text is not as it was on the request, or may not be: masked, or of bytes
// that no JSON can hold.
func masked(text string) bool {
	return strings.Contains(text, mask.Text) || strings.Contains(text, "\uFFFD") || strings.Contains(text, `\ufffd`)
}

// key is that of the answer. Once tells that it depends on more than the key.
func (f *facts) key(v *view) (key remadeKey, once bool) { //nolint:nonamedreturns // they say what they are
	if !v.snapshot.reads.deterministic {
		return key, true
	}
	b := &f.past.Basis
	text := binary.AppendUvarint(make([]byte, 0, len(b.Input)+64), uint64(v.number)) //nolint:gosec // a count
	text = binary.AppendUvarint(text, uint64(len(b.Input)))
	text = append(text, b.Input...)
	for _, place := range b.Withheld {
		text = append(append(text, 0), place...)
	}
	for _, n := range v.doubtful {
		if fact, ok := f.beside[n]; ok {
			text = append(text, 0, 1)
			if fact.value != nil {
				text = append(text, fact.value.String()...)
			}
		} else {
			text = append(text, 0, 2)
		}
	}
	return sha256.Sum256(text), b.Input == nil
}

func (k remadeKey) hash() uint64 { return binary.LittleEndian.Uint64(k[8:]) }

// read parses the input, and puts into it what is known beside it.
func (f *facts) read() (err error) {
	f.input = ast.NewObject()
	if f.past.Basis.Input != nil {
		if f.input, err = readJSON(f.past.Basis.Input); err != nil {
			return err
		}
	}
	return nil
}

// unknown tells which reads may find something else than on the request, and whether none does. What
// is known beside the input is put into it.
func (f *facts) unknown(v *view) (unknown []bool, none bool) {
	none = true
	unknown = make([]bool, len(v.mentions.reads))
	doubtful := v.doubtful
	if !f.plain {
		doubtful = nil
		for n := range v.mentions.reads {
			doubtful = append(doubtful, n)
		}
	}
	for n, fact := range f.beside {
		if fact.value == nil || f.tells(v.mentions.reads[n]) {
			continue
		}
		if made := inserted(f.input, v.mentions.reads[n].path, fact.value); made != nil {
			f.input = made
		} else {
			delete(f.beside, n)
		}
	}
	for _, n := range doubtful {
		if _, ok := f.beside[n]; !ok && !f.tells(v.mentions.reads[n]) {
			unknown[n], none = true, false
		}
	}
	return unknown, none
}

func (f *facts) document() *ast.Term { return ast.NewTerm(f.input) }

// tells tells whether the input tells what was at a place.
func (f *facts) tells(r read) bool {
	if f.withheld(nil) || f.past.Basis.Input == nil || f.view.otherBodies && r.ofBody() {
		return false
	}
	at, known := f.input, f.known
	for i, name := range r.path {
		object, ok := at.(ast.Object)
		if !ok {
			return !masks(at) // nothing is below a list or a text
		}
		if f.withheld(r.path[:i+1]) {
			return false
		}
		known = known.at(name)
		member := object.Get(ast.StringTerm(name))
		if member == nil {
			return known != nil && !masksNames(object)
		}
		at = member.Value
	}
	switch {
	case masks(at):
		return false
	case r.of == someOf:
		return true
	}
	return !f.withheldBelow(r.path) && isWhole(at, known)
}

// isWhole tells whether a value is all that was there. Of an object that is so where all of it was read.
func isWhole(v ast.Value, known *part) bool {
	switch v := v.(type) {
	case ast.String:
		return !masks(v)
	case *ast.Array:
		for i := range v.Len() {
			if !isWhole(v.Elem(i).Value, known) {
				return false
			}
		}
	case ast.Object:
		return known != nil && known.whole && !masksNames(v) && v.Iter(func(_, member *ast.Term) error {
			if !isWhole(member.Value, known) {
				return errMasked
			}
			return nil
		}) == nil
	}
	return true
}

var errMasked = errors.New("masked")

func masks(v ast.Value) bool {
	text, ok := v.(ast.String)
	return ok && masked(string(text))
}

func masksNames(o ast.Object) bool {
	return slices.ContainsFunc(o.Keys(), func(name *ast.Term) bool { return masks(name.Value) })
}

// withheld tells whether the policy's own mask took out or replaced a place.
func (f *facts) withheld(path []string) bool {
	if len(f.past.Basis.Withheld) == 0 {
		return false
	}
	return slices.Contains(f.past.Basis.Withheld, inputPlace(path))
}

func (f *facts) withheldBelow(path []string) bool {
	return slices.ContainsFunc(f.past.Basis.Withheld, func(held string) bool { return strings.HasPrefix(held, inputPlace(path)+"/") })
}

func inputPlace(path []string) string { return strings.Join(append([]string{"input"}, path...), "/") }

// sort tells what is masked from what is missing.
func (f *facts) sort(u *Undecided) *Undecided {
	var missing []string
	for _, name := range u.Missing {
		if f.holds(strings.Split(name, ".")[1:]) {
			u.Masked = append(u.Masked, name)
		} else {
			missing = append(missing, name)
		}
	}
	u.Missing = missing
	return u
}

// holds tells whether there is something masked at, above or below a place.
func (f *facts) holds(path []string) bool {
	name := inputPlace(path)
	return slices.ContainsFunc(slices.Concat(f.past.Basis.Masked, f.past.Basis.Withheld), func(held string) bool {
		return strings.HasPrefix(held+"/", name+"/") || strings.HasPrefix(name+"/", held+"/")
	})
}

// inserted is an object with a value at a path; nil where the way there leads through what is no object.
func inserted(in ast.Value, path []string, value ast.Value) ast.Value {
	if len(path) == 0 {
		return value
	}
	object, ok := in.(ast.Object)
	if in == nil {
		object = ast.NewObject()
	} else if !ok {
		return nil
	}
	name := ast.StringTerm(path[0])
	var below ast.Value
	if member := object.Get(name); member != nil {
		below = member.Value
	}
	if below = inserted(below, path[1:], value); below == nil {
		return nil
	}
	made := ast.NewObject(ast.Item(name, ast.NewTerm(below)))
	object.Foreach(func(key, had *ast.Term) {
		if !key.Equal(name) {
			made.Insert(key, had)
		}
	})
	return made
}

// covers tells whether what a policy reads is among what p says is read.
func (p *part) covers(r read) bool {
	for _, name := range r.path {
		p = p.at(name)
	}
	return p != nil && (r.of == someOf || p.whole)
}

// ofBody tells whether a place depends on how bodies are read.
func (r read) ofBody() bool {
	return len(r.path) == 0 || r.path[0] == "parsed_body" || r.path[0] == "truncated_body"
}

// recordedResults reads what builtins answered. What is masked is no answer.
func recordedResults(text []byte) (builtins.NDBCache, error) {
	results := builtins.NDBCache{}
	if text == nil {
		return results, nil
	}
	var byName map[string]map[string]json.RawMessage
	if err := json.Unmarshal(text, &byName); err != nil {
		return nil, err
	}
	for name, calls := range byName {
		for arguments, result := range calls {
			if masked(arguments) || masked(string(result)) {
				continue
			}
			asked, err := readJSON([]byte(arguments))
			if err != nil {
				return nil, err
			}
			answer, err := readJSON(result)
			if err != nil {
				return nil, err
			}
			results.Put(name, asked, answer)
		}
	}
	return results, nil
}

// readJSON reads a value of a record. Numbers keep their text.
func readJSON(text []byte) (ast.Value, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return readValue(decoder)
}
