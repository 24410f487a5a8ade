package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A field is a header of the answer with its values, of which there may be none.
type field struct {
	name   string
	values []string
}

// fields reads headers: {name: string or list} or a list of such objects. A name that comes more
// than once, in whatever case, is one field with all its values.
func fields(v ast.Value) ([]field, error) {
	if o, ok := v.(ast.Object); ok {
		return appendFields(nil, o)
	}
	terms, ok := elements(v)
	if !ok {
		return nil, wrongType(v, "object or list of objects")
	}
	var read []field
	for _, term := range terms {
		o, ok := term.Value.(ast.Object)
		if !ok {
			return nil, fmt.Errorf("in the list: %w", wrongType(term.Value, "object"))
		}
		var err error
		if read, err = appendFields(read, o); err != nil {
			return nil, err
		}
	}
	return read, nil
}

func appendFields(read []field, o ast.Object) ([]field, error) {
	err := o.Iter(func(key, value *ast.Term) error {
		name, err := headerName(key.Value)
		if err != nil {
			return err
		}
		values, err := textOrList(value.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", quote(name), err)
		}
		if slices.ContainsFunc(values, hasControl) {
			return fmt.Errorf("%s: a value with a control character", quote(name))
		}
		at := slices.IndexFunc(read, func(f field) bool { return f.name == name })
		if at < 0 {
			read = append(read, field{name: name})
			at = len(read) - 1
		}
		read[at].values = append(read[at].values, values...)
		return nil
	})
	return read, err
}

// upstream makes one entry of each field, its values joined, because Envoy keeps only the last of
// several. A field without values takes what the client sent away. A header that the policy both
// sets and removes is removed: Envoy does that last.
func upstream(set []field, remove []string) ([]authz.Header, []string) {
	var headers []authz.Header
	for _, f := range set {
		switch {
		case slices.Contains(remove, f.name):
		case len(f.values) == 0:
			remove = append(remove, f.name)
		default:
			headers = append(headers, authz.Header{Name: f.name, Value: strings.Join(f.values, ",")})
		}
	}
	return headers, remove
}

// separate makes an entry of each value, in order: the client gets each cookie for itself.
func separate(set []field) []authz.Header {
	var headers []authz.Header
	for _, f := range set {
		for _, value := range f.values {
			headers = append(headers, authz.Header{Name: f.name, Value: value})
		}
	}
	return headers
}

func repeated(v ast.Value) ([]authz.Header, error) {
	read, err := fields(v)
	return separate(read), err
}

func headerNames(v ast.Value) ([]string, error) {
	terms, ok := elements(v)
	if !ok {
		return nil, wrongType(v, "list of strings")
	}
	var names []string
	for _, term := range terms {
		name, err := headerName(term.Value)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func headerName(v ast.Value) (string, error) {
	name, err := text(v)
	if err != nil {
		return "", fmt.Errorf("a header name: %w", err)
	}
	return parseName(name)
}

// parseName checks a header name (RFC 9110, section 5.6.2) and makes it lower-case. It refuses
// pseudo-headers, "host" and the headers that frame a message: policy decided about the request
// as it is, and Envoy silently keeps some of them.
func parseName(name string) (string, error) {
	if name == "" || strings.ContainsFunc(name, notToken) {
		return "", errors.New("a header name that is no token")
	}
	name = strings.ToLower(name)
	switch name {
	case "host", "content-length", "transfer-encoding":
		return "", fmt.Errorf("the header %q cannot be changed", name)
	}
	return name, nil
}

func notToken(r rune) bool {
	alphanumeric := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// hasControl tells whether a value has a control character other than a tab (RFC 9110, section 5.5).
func hasControl(value string) bool {
	return strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f })
}

func has(headers []authz.Header, name string) bool {
	return slices.ContainsFunc(headers, func(h authz.Header) bool { return h.Name == name })
}
