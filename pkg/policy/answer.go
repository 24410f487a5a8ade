package policy

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz"
)

// An answer is what policy said, each key read and checked whether the answer allows or not:
// a mistake shows itself on the first check, not on the first denial.
type answer struct {
	allowed  *bool
	headers  []field
	response []authz.Header
	remove   []string
	set      []authz.Parameter
	unset    []string
	status   *ast.Number
	body     string
	metadata map[string]any
	reason   string
	scopes   []string
	stepUp   *authz.StepUp
}

// readAnswer reads a boolean, or an object with "allowed" and any of the other keys.
func readAnswer(value ast.Value) (authz.Decision, error) {
	switch v := value.(type) {
	case ast.Boolean:
		return decision(answer{allowed: (*bool)(&v)}), nil
	case ast.Object:
		var a answer
		if err := v.Iter(a.read); err != nil {
			return authz.Decision{}, err
		}
		if a.allowed == nil {
			return authz.Decision{}, invalid(`the key "allowed" is missing`)
		}
		return decision(a), nil
	}
	return authz.Decision{}, invalid("%w", wrongType(value, "boolean or object"))
}

// read reads one key of the answer.
func (a *answer) read(key, value *ast.Term) (err error) {
	name, ok := key.Value.(ast.String)
	if !ok {
		return invalid("a key: %w", wrongType(key.Value, "string"))
	}
	switch v := value.Value; name {
	case "allowed":
		var allowed bool
		allowed, err = boolean(v)
		a.allowed = &allowed
	case "headers":
		a.headers, err = fields(v)
	case "response_headers_to_add":
		a.response, err = repeated(v)
	case "request_headers_to_remove":
		a.remove, err = headerNames(v)
	case "query_parameters_to_set":
		a.set, err = parameters(v)
	case "query_parameters_to_remove":
		a.unset, err = list(v)
	case "http_status":
		a.status, err = numeric(v)
	case "body":
		a.body, err = text(v)
	case "dynamic_metadata":
		a.metadata, err = object(v)
	case "reason":
		a.reason, err = text(v)
	case "scopes":
		a.scopes, err = words(v)
	case "acr_values", "max_age":
		err = a.readStepUp(string(name), v)
	default:
		return invalid("unknown key %s", quote(string(name)))
	}
	if err != nil {
		return invalid("%q: %w", string(name), err)
	}
	return nil
}

// decision turns the answer into what is done; what does not belong to an allow, or to a denial,
// is dropped.
func decision(a answer) authz.Decision {
	d := authz.Decision{Allowed: *a.allowed, Detail: a.reason, Metadata: a.metadata}
	if d.Allowed {
		d.Reason = authz.Allowed
		d.Response = a.response
		d.Upstream = authz.Mutation{SetQuery: a.set, RemoveQuery: a.unset}
		d.Upstream.SetHeaders, d.Upstream.RemoveHeaders = upstream(a.headers, a.remove)
		return d
	}
	d.Reason = authz.PolicyDenied
	d.Body, d.Scopes, d.StepUp = a.body, a.scopes, a.stepUp
	d.Denial = separate(a.headers)
	if a.status != nil {
		d.Status = status(*a.status, d.Denial)
	}
	if a.status != nil && d.Status == 0 {
		d.Status = 403
		d.Detail = note(d.Detail, "http_status is no status of a denial: 403 instead")
	}
	return d
}

// status reads the status of a denial: 400 to 599, or a redirection that says where to. Any other
// would be taken for a success, by the client or by Envoy; it is 0.
func status(n ast.Number, headers []authz.Header) int {
	code, ok := n.Int()
	switch {
	case ok && 400 <= code && code <= 599:
		return code
	case ok && 300 <= code && code <= 399 && has(headers, "location"):
		return code
	}
	return 0
}

func note(detail, more string) string {
	if detail == "" {
		return more
	}
	return detail + "; " + more
}

func boolean(v ast.Value) (bool, error) {
	b, ok := v.(ast.Boolean)
	if !ok {
		return false, wrongType(v, "boolean")
	}
	return bool(b), nil
}

func numeric(v ast.Value) (*ast.Number, error) {
	n, ok := v.(ast.Number)
	if !ok {
		return nil, wrongType(v, "number")
	}
	return &n, nil
}

// text reads a string. Rego can make one that is not UTF-8 (base64.decode); the response could
// then not be encoded, and where failure_mode_allow is set Envoy would let the request through.
func text(v ast.Value) (string, error) {
	s, ok := v.(ast.String)
	if !ok {
		return "", wrongType(v, "string")
	}
	if !utf8.ValidString(string(s)) {
		return "", errors.New("a string that is not UTF-8")
	}
	return string(s), nil
}

// list reads an array or a set of strings.
func list(v ast.Value) ([]string, error) {
	terms, ok := elements(v)
	if !ok {
		return nil, wrongType(v, "list of strings")
	}
	texts := make([]string, len(terms))
	for i, term := range terms {
		s, err := text(term.Value)
		if err != nil {
			return nil, err
		}
		texts[i] = s
	}
	return texts, nil
}

// textOrList reads a string or a list of strings.
func textOrList(v ast.Value) ([]string, error) {
	if _, ok := v.(ast.String); ok {
		s, err := text(v)
		return []string{s}, err
	}
	if _, ok := elements(v); !ok {
		return nil, wrongType(v, "string or list of strings")
	}
	return list(v)
}

// elements lists an array, or a set in its order.
func elements(v ast.Value) ([]*ast.Term, bool) {
	switch v := v.(type) {
	case *ast.Array:
		terms := make([]*ast.Term, 0, v.Len())
		v.Foreach(func(t *ast.Term) { terms = append(terms, t) })
		return terms, true
	case ast.Set:
		return v.Slice(), true
	}
	return nil, false
}

func parameters(v ast.Value) ([]authz.Parameter, error) {
	o, ok := v.(ast.Object)
	if !ok {
		return nil, wrongType(v, "object")
	}
	var read []authz.Parameter
	err := o.Iter(func(key, value *ast.Term) error {
		name, err := text(key.Value)
		if err != nil {
			return fmt.Errorf("a name: %w", err)
		}
		values, err := textOrList(value.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", quote(name), err)
		}
		for _, value := range values {
			read = append(read, authz.Parameter{Name: name, Value: value})
		}
		return nil
	})
	return read, err
}

// maxMetadataDepth bounds dynamic metadata. Envoy's protobuf decoder gives up at 100 messages
// inside one another, three for each level here, and an answer that it cannot decode counts as an
// error, which failure_mode_allow turns into an allow.
const maxMetadataDepth = 16

func object(v ast.Value) (map[string]any, error) {
	o, ok := v.(ast.Object)
	if !ok {
		return nil, wrongType(v, "object")
	}
	return plainObject(o, maxMetadataDepth)
}

func plainObject(o ast.Object, depth int) (map[string]any, error) {
	read := make(map[string]any, o.Len())
	err := o.Iter(func(key, value *ast.Term) error {
		name, err := text(key.Value)
		if err != nil {
			return fmt.Errorf("a name: %w", err)
		}
		read[name], err = plain(value.Value, depth-1)
		return err
	})
	return read, err
}

// plain makes a JSON value of a Rego value: nil, bool, float64, string, []any or map[string]any.
// A number becomes a float64, which is all that Envoy's metadata can hold.
func plain(v ast.Value, depth int) (any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("nested deeper than %d levels", maxMetadataDepth)
	}
	switch v := v.(type) {
	case ast.Null:
		return nil, nil
	case ast.Boolean:
		return bool(v), nil
	case ast.Number:
		f, ok := v.Float64()
		if !ok || math.IsInf(f, 0) {
			return nil, errors.New("a number out of range")
		}
		return f, nil
	case ast.String:
		return text(v)
	case ast.Object:
		return plainObject(v, depth)
	}
	terms, ok := elements(v)
	if !ok {
		return nil, wrongType(v, "JSON value")
	}
	values := make([]any, len(terms))
	for i, term := range terms {
		value, err := plain(term.Value, depth-1)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

func wrongType(v ast.Value, want string) error {
	return fmt.Errorf("type %s, want %s", ast.ValueName(v), want)
}

func invalid(format string, args ...any) error {
	return refuse(authz.PolicyAnswerInvalid, "read the answer: "+format, args...)
}

// quote repeats a name that looks like one somebody wrote. Any other may have been computed from
// the request and is not repeated.
func quote(name string) string {
	if name == "" || len(name) > 40 || strings.ContainsFunc(name, notToken) {
		return "(not a plain name)"
	}
	return `"` + name + `"`
}
