package policy

import "github.com/open-policy-agent/opa/v1/ast"

// A document is an object of a body in the making.
type document [][2]*ast.Term

// set adds a value, even an empty one.
func (d *document) set(name string, value ast.Value) {
	*d = append(*d, [2]*ast.Term{ast.InternedTerm(name), ast.NewTerm(value)})
}

func (d document) value() ast.Value { return ast.NewObject(d...) }

func texts(values []string) ast.Value {
	terms := make([]*ast.Term, len(values))
	for i, v := range values {
		terms[i] = ast.InternedTerm(v)
	}
	return ast.NewArray(terms...)
}

func textLists(values map[string][]string) ast.Value {
	d := make(document, 0, len(values))
	for name, list := range values {
		d.set(name, texts(list))
	}
	return d.value()
}
