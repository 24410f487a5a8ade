package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz"
)

// maskRule is where OPA's users say what of a decision is not logged: paths to remove, or objects with
// op, path and value.
func maskRule() ast.Ref {
	return ast.Ref{ast.DefaultRootDocument, ast.StringTerm("system"), ast.StringTerm("log"), ast.StringTerm("mask")}
}

// prepareMask finds the rule; nil where the policy has none, or nobody records.
func (s *snapshot) prepareMask() (*query, error) {
	if s.limits.recording == nil || len(s.compiler.GetRules(maskRule())) == 0 {
		return nil, nil
	}
	q, err := s.newQuery(maskRule())
	return &q, err
}

// maskByPolicy asks the rule, which sees path and input, and takes out what it names. It costs an
// evaluation more, where the policy is evaluated and has such a rule. Where the rule fails nothing of
// the request is kept.
func (s *snapshot) maskByPolicy(ctx context.Context, now time.Time, b *authz.Basis) {
	if s.mask == nil {
		return
	}
	document := map[string]any{}
	if b.Input != nil && decodeNumbers(b.Input, &document) != nil {
		document = nil
	}
	rules, err := s.maskRules(ctx, now, document)
	if err == nil && document != nil {
		for _, r := range rules {
			r.apply(document, b)
		}
		if b.Input != nil {
			b.Input, err = json.Marshal(document)
		}
	}
	if err != nil || document == nil {
		*b = authz.Basis{Withheld: []string{"input"}, Incomplete: "the rule system.log.mask failed"}
	}
}

// A removal is one thing that the rule names.
type removal struct {
	path  []string
	value any
	set   bool // value takes the place of what was there
}

func (s *snapshot) maskRules(ctx context.Context, now time.Time, document map[string]any) ([]removal, error) {
	input, err := ast.InterfaceToValue(document)
	if err != nil {
		return nil, err
	}
	event := ast.ObjectTerm(
		[2]*ast.Term{ast.InternedTerm("input"), ast.NewTerm(input)},
		[2]*ast.Term{ast.InternedTerm("path"), ast.StringTerm(pathOf(s.name))},
	)
	answer, err := s.evaluate(ctx, *s.mask, now, event, nil)
	if err != nil || answer == nil {
		return nil, err
	}
	plain, err := ast.JSON(answer.Value)
	if err != nil {
		return nil, err
	}
	list, ok := plain.([]any)
	if !ok {
		return nil, invalid("system.log.mask is no set and no list")
	}
	removals := make([]removal, 0, len(list))
	for _, item := range list {
		r, err := newRemoval(item)
		if err != nil {
			return nil, err
		}
		removals = append(removals, r)
	}
	return removals, nil
}

func newRemoval(item any) (removal, error) {
	path, isText := item.(string)
	var r removal
	if object, ok := item.(map[string]any); ok {
		path, isText = object["path"].(string)
		r.value, r.set = object["value"], object["op"] == "upsert"
		if !r.set && object["op"] != "remove" {
			return r, invalid("system.log.mask has an op that is neither remove nor upsert")
		}
	}
	if !isText || !strings.HasPrefix(path, "/") {
		return r, invalid("system.log.mask has an entry without a path that begins with a slash")
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		name, err := url.PathUnescape(part)
		if err != nil {
			return r, invalid("system.log.mask has a path with a bad escape")
		}
		r.path = append(r.path, name)
	}
	return r, nil
}

// apply takes one thing out of the input, and notes it: the record may have it elsewhere too.
func (r removal) apply(document map[string]any, b *authz.Basis) {
	b.Withheld = append(b.Withheld, strings.Join(r.path, "/"))
	switch {
	case r.path[0] == "nd_builtin_cache":
		b.Results, b.Incomplete = nil, "masked by the policy"
	case r.path[0] != "input":
	case len(r.path) == 1:
		clear(document)
		b.Incomplete = "masked by the policy"
	default:
		at := parent(document, r.path[1:len(r.path)-1])
		if name := r.path[len(r.path)-1]; at != nil && r.change(at, name) {
			b.Incomplete = "masked by the policy"
		}
	}
}

// parent walks to where a path leads; nil where there is no such place.
func parent(at any, path []string) any {
	for _, name := range path {
		switch v := at.(type) {
		case map[string]any:
			at = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			at = v[i]
		default:
			return nil
		}
	}
	return at
}

// change removes or replaces a member, and tells whether it was there. An element of a list leaves null.
func (r removal) change(at any, name string) bool {
	switch v := at.(type) {
	case map[string]any:
		_, ok := v[name]
		switch {
		case ok && r.set:
			v[name] = r.value
		case ok:
			delete(v, name)
		}
		return ok
	case []any:
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i >= len(v) {
			return false
		}
		v[i] = r.value // nil where it is removed
		return true
	}
	return false
}

func decodeNumbers(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}
