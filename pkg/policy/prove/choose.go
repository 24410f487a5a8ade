package prove

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// scalar chooses a value that nothing known of the symbol excludes.
func (b *builder) scalar(s *symbol, k kinds) any {
	var pool []*ast.Term
	switch k {
	case text:
		for _, t := range b.texts(s) {
			pool = append(pool, ast.StringTerm(t))
		}
	case number:
		pool = b.numbers(s)
	case boolean:
		pool = []*ast.Term{ast.BooleanTerm(true), ast.BooleanTerm(false)}
	default:
		return nil
	}
	fit := slices.DeleteFunc(slices.Clone(pool), func(t *ast.Term) bool { return !b.possible(s, t) })
	if len(fit) == 0 {
		fit = pool
	}
	v, err := ast.JSON(fit[b.pick(len(fit))].Value)
	if err != nil {
		return nil
	}
	return v
}

// texts are candidates for a text: first what the tests of it look for.
func (b *builder) texts(s *symbol) []string {
	var out []string
	begin, end := "", ""
	for _, t := range s.tests {
		c := t.constant()
		switch {
		case !t.holds:
		case t.builtin == "startswith":
			begin = longest(begin, c)
		case t.builtin == "endswith":
			end = longest(end, c)
		case t.builtin == "contains":
			out = append(out, c)
		case t.builtin == "regex.match":
			if re, err := syntax.Parse(c, syntax.Perl); err == nil {
				out = append(out, b.matching(re.Simplify()))
			}
		case t.builtin == "glob.match":
			out = append(out, strings.NewReplacer("**", "x", "*", "x", "?", "x").Replace(c))
		}
	}
	for _, inner := range append(slices.Clone(out), "", "x", "/x") {
		if begin+end != "" {
			out = append(out, begin+inner+end)
		}
	}
	out = append(out, s.shape.enum...)
	out = append(out, b.hints(s)...)
	for _, n := range s.not {
		if c, ok := n.Value.(ast.String); ok && c != "" {
			out = append(out, strings.ToUpper(string(c)), strings.ToLower(string(c)), string(c)+"x", string(c)+"/")
		}
	}
	return append(out, "x", "y", "7", "")
}

func longest(a, b string) string {
	if len(b) > len(a) {
		return b
	}
	return a
}

// hints are texts from which builtins may make what is assumed of their results.
func (b *builder) hints(s *symbol) []string {
	var out []string
	for _, of := range b.order {
		if of.from == nil || !slices.ContainsFunc(of.from.operands, func(o *ast.Term) bool { return b.symbolOf(o) == s }) {
			continue
		}
		results := b.texts(of)
		if v, ok := b.constant(of); ok {
			results = []string{v}
		}
		if items := textsOf(b.value(of)); len(items) > 0 {
			results = []string{strings.Join(items, delimiter(of.from)), delimiter(of.from) + strings.Join(items, delimiter(of.from))}
		}
		for _, text := range results {
			out = append(out, text, strings.ToUpper(text), strings.ToLower(text))
			for _, o := range of.from.operands {
				if c, ok := o.Value.(ast.String); ok {
					out = append(out, string(c)+text, text+string(c))
				}
			}
		}
	}
	return out
}

// constant is the text that a symbol is.
func (b *builder) constant(s *symbol) (string, bool) {
	if s.value == nil {
		return "", false
	}
	switch v := s.value.Value.(type) {
	case ast.String:
		return string(v), true
	case ast.Number:
		return v.String(), true
	}
	return "", false
}

func delimiter(of *application) string {
	for _, o := range of.operands {
		if c, ok := o.Value.(ast.String); ok {
			return string(c)
		}
	}
	return "/"
}

func (b *builder) numbers(s *symbol) []*ast.Term {
	var out []*ast.Term
	for _, bound := range []*bound{s.above, s.below} {
		if bound == nil {
			continue
		}
		if n, ok := bound.value.Value.(ast.Number); ok {
			if f, ok := n.Float64(); ok {
				out = append(out, bound.value, ast.FloatNumberTerm(f+1), ast.FloatNumberTerm(f-1), ast.FloatNumberTerm(f+0.5))
			}
		}
	}
	const now = 1_700_000_000
	return append(out, ast.IntNumberTerm(1), ast.IntNumberTerm(now), ast.IntNumberTerm(0), ast.IntNumberTerm(-1), ast.IntNumberTerm(2*now))
}

// matching is a text that a regular expression matches.
func (b *builder) matching(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		if len(re.Rune) > 0 {
			at := 2 * b.pick(len(re.Rune)/2)
			return string(re.Rune[at] + rune(b.pick(int(re.Rune[at+1]-re.Rune[at])+1))) //nolint:gosec // at most what two runes are apart
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpCapture, syntax.OpPlus:
		return b.matching(re.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(b.matching(re.Sub[0]), max(re.Min, 1))
	case syntax.OpStar, syntax.OpQuest:
		if b.pick(2) == 1 {
			return b.matching(re.Sub[0])
		}
	case syntax.OpAlternate:
		return b.matching(re.Sub[b.pick(len(re.Sub))])
	case syntax.OpConcat:
		var out strings.Builder
		for _, part := range re.Sub {
			out.WriteString(b.matching(part))
		}
		return out.String()
	}
	return ""
}

// dig is what is at a path in a document; nil where there is nothing.
func dig(doc any, path ...string) any {
	for _, name := range path {
		members, ok := doc.(map[string]any)
		if !ok {
			return nil
		}
		doc = members[name]
	}
	return doc
}

func peer(doc any, name string) *Peer {
	out := Peer{Port: port(dig(doc, "attributes", name, "address", "socketAddress", "portValue"))}
	out.Principal, _ = dig(doc, "attributes", name, "principal").(string)
	if a, ok := dig(doc, "attributes", name, "address", "socketAddress", "address").(string); ok || out.Port != 0 {
		out.Address = address(a)
	}
	if out == (Peer{}) {
		return nil
	}
	return &out
}

func orPeer(p *Peer) *Peer {
	if p == nil {
		return &Peer{}
	}
	return p
}

// address is an IP address, the one that was chosen where it is one.
func address(chosen string) string {
	if _, err := netip.ParseAddr(chosen); err == nil {
		return chosen
	}
	return "192.0.2.1"
}

func port(v any) int {
	n, err := strconv.ParseUint(fmt.Sprint(v), 10, 16)
	if err != nil {
		return 0
	}
	return int(n)
}

func moment(seconds any) string {
	n, _ := seconds.(json.Number)
	f, err := n.Float64()
	if err != nil {
		return ""
	}
	return time.Unix(int64(f), 0).UTC().Format(time.RFC3339)
}

func stringsOf(v any) map[string]string {
	members, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	out := map[string]string{}
	for name, value := range members {
		out[name], _ = value.(string)
	}
	return out
}

func textsOf(v any) []string {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	out := make([]string, len(list))
	for i, item := range list {
		out[i], _ = item.(string)
	}
	return out
}

func contains(list []any, v any) bool {
	return slices.ContainsFunc(list, func(item any) bool { return reflect.DeepEqual(item, v) })
}
