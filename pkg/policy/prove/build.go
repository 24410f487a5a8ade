package prove

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A builder makes a request of what is assumed on a path. Where something is left open it chooses.
type builder struct {
	*run
	random *rand.Rand
	first  bool // the first choice is taken everywhere
	chosen map[*symbol]any
}

func (b *builder) pick(n int) int {
	if b.first || n < 2 {
		return 0
	}
	return b.random.IntN(n)
}

func (b *builder) build() Example {
	doc, _ := b.value(b.symbols["input"]).(map[string]any)
	out := Example{Tokens: map[string]*Token{}}
	for _, slot := range b.Slots {
		out.Tokens[slot] = b.token(dig(doc, "tokens", slot))
	}
	b.connection(doc, &out.Request)
	if http, known := b.atoms["http"]; known && !http.answer {
		out.Request.Network = true
		return out
	}
	b.http(doc, &out.Request)
	return out
}

func (b *builder) token(of any) *Token {
	if dig(of, "status") != "valid" {
		return nil
	}
	t := &Token{Claims: map[string]any{}}
	if claims, ok := dig(of, "claims").(map[string]any); ok {
		t.Claims = claims
	}
	t.Header, _ = dig(of, "header").(map[string]any)
	t.Issuer, _ = dig(of, "issuer").(string)
	return t
}

func (b *builder) connection(doc any, out *Request) {
	out.Source = peer(doc, "source")
	if p := dig(doc, "source", "principal"); p != nil {
		out.Source = orPeer(out.Source)
		out.Source.Principal, _ = p.(string)
	}
	if a, ok := dig(doc, "source", "address").(string); ok {
		out.Source = orPeer(out.Source)
		out.Source.Address, out.Source.Port = address(a), port(dig(doc, "source", "port"))
	}
	out.Destination = peer(doc, "destination")
	out.SNI, _ = dig(doc, "attributes", "tlsSession", "sni").(string)
	out.Extensions = stringsOf(dig(doc, "attributes", "contextExtensions"))
	out.Metadata, _ = dig(doc, "attributes", "metadataContext", "filterMetadata").(map[string]any)
	out.Route, _ = dig(doc, "attributes", "routeMetadataContext", "filterMetadata").(map[string]any)
	if s := dig(doc, "attributes", "request", "time", "seconds"); s != nil {
		out.Time = moment(s)
	}
}

func (b *builder) http(doc any, out *Request) {
	at := func(name string) string {
		text, _ := dig(doc, "attributes", "request", "http", name).(string)
		return text
	}
	out.Method, out.Host, out.Scheme = at("method"), at("host"), at("scheme")
	out.Headers = stringsOf(dig(doc, "attributes", "request", "http", "headers"))
	for name, into := range map[string]*string{":method": &out.Method, ":authority": &out.Host, ":scheme": &out.Scheme} {
		if value, ok := out.Headers[name]; ok {
			*into = value
		}
	}
	maps.DeleteFunc(out.Headers, func(name, _ string) bool { return strings.HasPrefix(name, ":") })
	if out.JSON = dig(doc, "parsed_body"); out.JSON != nil && out.Method == "" {
		out.Method = "POST"
	}
	out.Truncated, _ = dig(doc, "truncated_body").(bool)
	out.Path = b.path(doc, at("path"))
}

// path chooses among the spellings of a path.
func (b *builder) path(doc any, raw string) string {
	segments := textsOf(dig(doc, "parsed_path"))
	if segments == nil {
		segments = []string{"x"}
	}
	encoded := make([]string, len(segments))
	for i, s := range segments {
		encoded[i] = url.PathEscape(s)
	}
	plain := "/" + strings.Join(encoded, "/")
	spellings := []string{plain}
	if raw != "" {
		spellings = append(spellings, raw)
	}
	if first := segments[0]; raw != "" && first != "" {
		spellings = append(spellings, fmt.Sprintf("/%%%02x%s", first[0], strings.TrimPrefix(plain, "/"+url.PathEscape(first[:1]))))
	}
	if b.FlagAmbiguousPaths {
		spellings = append(spellings, "/"+plain)
	}
	chosen := spellings[b.pick(len(spellings))]
	query := url.Values{}
	if members, ok := dig(doc, "parsed_query").(map[string]any); ok {
		for name, list := range members {
			query[name] = textsOf(list)
		}
	}
	if len(query) > 0 && !strings.Contains(chosen, "?") {
		chosen += "?" + query.Encode()
	}
	return chosen
}

// value is what a symbol is in the request.
func (b *builder) value(s *symbol) any {
	s = s.rep()
	if v, ok := b.chosen[s]; ok {
		return v
	}
	b.chosen[s] = nil // while it is made
	if s.value != nil {
		v, err := ast.JSON(s.value.Value)
		if err == nil {
			b.chosen[s] = v
			return v
		}
	}
	if v := b.result(s); v != nil {
		b.chosen[s] = v
		return v
	}
	var v any
	switch k := b.kind(s); k {
	case object:
		v = b.object(s)
	case array:
		v = b.list(s)
	default:
		v = b.scalar(s, k)
	}
	b.chosen[s] = v
	return v
}

// result is what a symbol is that is equal to the result of a builtin; nil where it is not.
func (b *builder) result(s *symbol) any {
	for _, of := range b.order {
		if of.from == nil || of.rep() != s {
			continue
		}
		operands := make([]*ast.Term, len(of.from.operands))
		for i, o := range of.from.operands {
			if operands[i] = o; b.symbolOf(o) == nil {
				continue
			}
			value, err := ast.InterfaceToValue(b.value(b.symbolOf(o)))
			if err != nil {
				return nil
			}
			operands[i] = ast.NewTerm(value)
		}
		if out, err := results(of.from.builtin, operands); err == nil && len(out) == 1 {
			if v, err := ast.JSON(out[0].Value); err == nil {
				return v
			}
		}
	}
	return nil
}

// kind chooses a type.
func (b *builder) kind(s *symbol) kinds {
	inObject := slices.ContainsFunc(slices.Collect(maps.Values(s.present)), func(there bool) bool { return there })
	switch {
	case s.kinds&object != 0 && inObject:
		return object
	case s.kinds&array != 0 && (s.least > 0 && s.kinds&text == 0 || len(s.held) > 0 || len(s.witnesses) > 0):
		return array
	}
	var open []kinds
	for _, k := range []kinds{text, number, boolean, array, object, null} {
		if s.kinds&k != 0 {
			open = append(open, k)
		}
	}
	if len(open) == 0 {
		return null
	}
	return open[b.pick(len(open))]
}

func (b *builder) object(s *symbol) any {
	out := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.present)) {
		full := placeName(s.name, name)
		if home := homes[full]; home != "" {
			full = home
		}
		if m := b.symbols[full]; s.present[name] && m != nil {
			out[name] = b.value(m)
		}
	}
	for _, pair := range s.witnesses {
		if key, ok := b.value(pair[0]).(string); ok {
			out[key] = b.value(pair[1])
		}
	}
	for i, item := range s.held {
		if v, err := ast.JSON(item.Value); err == nil && !contains(slices.Collect(maps.Values(out)), v) {
			out[fmt.Sprintf("k%d", i)] = v
		}
	}
	return out
}

func (b *builder) list(s *symbol) any {
	at := func(i int) *symbol { return b.symbols[fmt.Sprintf("%s[%d]", s.name, i)] }
	var known []any
	for i := range s.least {
		if m := at(i); m != nil {
			known = append(known, b.value(m))
		}
	}
	more := b.needed(s, known)
	out := []any{}
	for i := range s.least {
		switch m := at(i); {
		case m != nil:
			out = append(out, b.value(m))
		case len(more) > 0:
			out, more = append(out, more[0]), more[1:]
		default:
			sh := s.shape.itemShape()
			out = append(out, b.value(&symbol{shape: sh, kinds: sh.kinds & anyJSON, most: -1, memberOf: s}))
		}
	}
	return append(out, more...)
}

// needed are the items that a list must have beside those that are known.
func (b *builder) needed(s *symbol, known []any) (more []any) {
	add := func(v any) {
		if !contains(known, v) && !contains(more, v) {
			more = append(more, v)
		}
	}
	for _, pair := range s.witnesses {
		add(b.value(pair[1]))
	}
	for _, item := range s.held {
		if v, err := ast.JSON(item.Value); err == nil {
			add(v)
		}
	}
	return more
}
