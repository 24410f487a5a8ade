package prove

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// kinds are the types that a value may have, a bit each.
type kinds uint8

const (
	null kinds = 1 << iota
	boolean
	number
	text
	array
	object
	set

	scalar  = null | boolean | number | text
	anyJSON = scalar | array | object
	anyKind = anyJSON | set
)

func kindOf(v ast.Value) kinds {
	switch v.(type) {
	case ast.Null:
		return null
	case ast.Boolean:
		return boolean
	case ast.Number:
		return number
	case ast.String:
		return text
	case *ast.Array:
		return array
	case ast.Object:
		return object
	case ast.Set:
		return set
	}
	return 0
}

// kindsOf are those of a builtin's result.
func kindsOf(t types.Type) kinds {
	switch t := t.(type) {
	case types.Null:
		return null
	case types.Boolean:
		return boolean
	case types.Number:
		return number
	case types.String:
		return text
	case *types.Array:
		return array
	case *types.Object:
		return object
	case *types.Set:
		return set
	case types.Any:
		var all kinds
		for _, one := range t {
			all |= kindsOf(one)
		}
		if all != 0 {
			return all
		}
	}
	return anyKind
}

// A shape is what a part of the input document may be. It allows whatever Envoy may bring; what it
// allows besides costs proofs and makes none wrong.
type shape struct {
	kinds    kinds
	members  map[string]*shape // of an object
	rest     *shape            // its other members; nil: there are none
	items    *shape            // of an array
	presence presence
	enum     []string // of a text
	notEmpty bool     // of a text, a list
	lower    bool     // the names of an object's members have no capitals
	never    bool     // of a boolean: it is false
}

// presence says when a member is there.
type presence int

const (
	perhaps presence = iota
	always
	withHTTP  // in a check that has a request, and in no other
	withToken // in a token that is valid, and in no other
	ofHTTP    // in a check that has a request, and perhaps in another
)

func (s *shape) member(name string) *shape {
	if m := s.members[name]; m != nil {
		return m
	}
	if s.lower && name != strings.ToLower(name) {
		return nil
	}
	return s.rest
}

// names are those of a closed object.
func (s *shape) names() []string { return slices.Sorted(maps.Keys(s.members)) }

func anything() *shape {
	s := &shape{kinds: anyJSON}
	s.rest, s.items = s, s
	return s
}

// whatever is a value that a policy computes, of these types.
func whatever(k kinds) *shape {
	inner := &shape{kinds: anyKind}
	inner.rest, inner.items = inner, inner
	return &shape{kinds: k, rest: inner, items: inner}
}

func closed(members map[string]*shape) *shape { return &shape{kinds: object, members: members} }

func open(rest *shape) *shape { return &shape{kinds: object, rest: rest} }

func when(p presence, s *shape) *shape {
	changed := *s
	changed.presence = p
	return &changed
}

func words() *shape { return &shape{kinds: text} }

func word() *shape { return &shape{kinds: text, notEmpty: true} }

// inputShape is the document that package policy writes (input.go, tokens.go there).
func (q *Question) inputShape() *shape {
	in := map[string]*shape{
		"attributes":       when(always, attributes()),
		"version":          when(always, closed(map[string]*shape{"ext_authz": when(always, &shape{kinds: text, enum: []string{"v3"}}), "encoding": when(always, &shape{kinds: text, enum: []string{"protojson"}})})),
		"tokens":           when(always, q.tokens()),
		"source":           when(always, closed(map[string]*shape{"principal": word(), "address": word(), "port": {kinds: number}})),
		"source_principal": word(),
		"parsed_path":      {kinds: array, items: words(), notEmpty: true, presence: withHTTP},
		"parsed_query":     when(withHTTP, open(&shape{kinds: array, items: words(), notEmpty: true})),
		"path_ambiguous":   {kinds: boolean, presence: withHTTP, never: !q.FlagAmbiguousPaths},
	}
	if !q.SkipRequestBodyParse {
		in["parsed_body"] = when(withHTTP, anything())
		in["truncated_body"] = &shape{kinds: boolean, presence: withHTTP}
	}
	return closed(in)
}

func attributes() *shape {
	peer := closed(map[string]*shape{
		"address": closed(map[string]*shape{
			"socketAddress": closed(map[string]*shape{"address": word(), "portValue": {kinds: number}}),
			"pipe":          closed(map[string]*shape{"path": word()}),
		}),
		"service": word(), "labels": open(words()), "principal": word(), "certificate": word(),
	})
	http := closed(map[string]*shape{
		"id": word(), "method": when(always, word()), "path": when(always, word()), "host": when(always, word()),
		"scheme": when(always, word()), "query": word(),
		"fragment": word(), "protocol": word(), "size": {kinds: number}, "body": word(), "rawBody": word(),
		"headers":   {kinds: object, rest: words(), lower: true},
		"headerMap": anything(),
	})
	http.presence = withHTTP
	return closed(map[string]*shape{
		"source": peer, "destination": peer,
		"request": when(ofHTTP, closed(map[string]*shape{
			"http": http,
			"time": closed(map[string]*shape{"seconds": {kinds: number}, "nanos": {kinds: number}}),
		})),
		"contextExtensions":    open(words()),
		"metadataContext":      anything(),
		"routeMetadataContext": anything(),
		"tlsSession":           closed(map[string]*shape{"sni": word()}),
	})
}

func (q *Question) tokens() *shape {
	slots := map[string]*shape{}
	for _, name := range q.Slots {
		status := []string{"valid", "missing"}
		if slices.Contains(q.Required, name) {
			status = status[:1]
		}
		slots[name] = when(always, closed(map[string]*shape{
			"status": {kinds: text, enum: status, presence: always},
			"issuer": word(),
			"claims": when(withToken, claims()),
			"header": open(anything()),
		}))
	}
	return closed(slots)
}

// claims are of any type, but for those that the first door looks at (readClaims of package token). A
// configuration may make lists of texts.
func claims() *shape {
	s := open(anything())
	s.members = map[string]*shape{}
	for _, name := range []string{"sub", "jti", "client_id", "azp", "sid"} {
		s.members[name] = &shape{kinds: text | null | array, notEmpty: true, items: words()}
	}
	for _, name := range []string{"exp", "nbf", "iat"} {
		s.members[name] = &shape{kinds: number}
	}
	return s
}

// homes are places of the document that are written from the same value as another.
var homes = map[string]string{
	"input.source_principal":                                "input.source.principal",
	"input.attributes.source.principal":                     "input.source.principal",
	"input.attributes.source.address.socketAddress.address": "input.source.address",
}
