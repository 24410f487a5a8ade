// Package casefile reads checks as people write them: request cases, which say what a policy must
// answer, and curl lines.
//
//  1. Parse reads a file of cases strictly (reader.go): all that is wrong with it is said at once,
//     with file, line and column ([Mistakes]).
//  2. A request is written as fields (request.go) or as a curl line (shell.go, curl.go). Both become
//     one message (message.go), and that the [authz.Request] that pkg/envoy makes of what Envoy
//     sends: lower-case names, pseudo-headers, the path cut and decoded.
//  3. A Runner takes the case through the [authz.Checker] (run.go), with the tokens that the case
//     states, so that the answer is that of production: fail-closed rules, status and headers too.
//  4. What the case expects is compared with the answer (expect.go), as a list of [Difference].
//
// The form of a file is described in policies/TESTING.md.
package casefile

import (
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A File is a file of request cases.
type File struct {
	Name  string
	Path  string         // the entrypoint that is asked; "": the one that is configured
	Slots []string       // the token slots, where no configuration names them
	Data  map[string]any // merged under data, for these cases
	Cases []Case
}

// A Case is one request, and the answer that is expected.
type Case struct {
	Note    string
	Line    int
	Request *authz.Request
	Tokens  map[string]authz.Token // as stated; a slot that is not here has none
	Now     time.Time              // that the policy sees; zero: the machine's
	Want    Expectation
}

// IsFile tells by its name whether a file holds request cases.
func IsFile(name string) bool {
	return slices.ContainsFunc([]string{".cases.yaml", ".cases.yml", ".cases.json"}, func(end string) bool {
		return len(name) > len(end) && name[len(name)-len(end):] == end
	})
}

// Parse reads a file of cases, in YAML or JSON. An error is [Mistakes].
func Parse(name string, text []byte) (*File, error) {
	r := &reader{file: name}
	out := &File{Name: name}
	var now time.Time
	var cases []*yaml.Node
	if root := r.document(text); root != nil {
		r.fields(root, fields{
			"path":  func(n *yaml.Node) { out.Path = r.text(n) },
			"slots": func(n *yaml.Node) { out.Slots = r.texts(n) },
			"data":  func(n *yaml.Node) { out.Data = r.object(n) },
			"now":   func(n *yaml.Node) { now = r.time(n) },
			"cases": func(n *yaml.Node) { cases = r.list(n) },
		})
		if len(cases) == 0 {
			r.add(root, "there are no cases")
		}
	}
	for _, node := range cases {
		c := r.readCase(node)
		if c.Now.IsZero() {
			c.Now = now
		}
		out.Cases = append(out.Cases, c)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return out, nil
}

func (r *reader) readCase(node *yaml.Node) Case {
	c := Case{Line: node.Line}
	var request, expect *yaml.Node
	r.fields(node, fields{
		"note":    func(n *yaml.Node) { c.Note = r.text(n) },
		"request": func(n *yaml.Node) { request = n },
		"tokens":  func(n *yaml.Node) { c.Tokens = r.tokens(n) },
		"now":     func(n *yaml.Node) { c.Now = r.time(n) },
		"expect":  func(n *yaml.Node) { expect = n },
	})
	if c.Note == "" {
		r.add(node, "note: is missing; say what the case is about")
	}
	if request == nil {
		r.add(node, "request: is missing")
	} else {
		c.Request = r.request(request)
	}
	if expect == nil {
		r.add(node, "expect: is missing; a case without it cannot fail")
	} else {
		c.Want = r.expectation(expect)
	}
	return c
}

// tokens reads what is stated of the token slots. A slot that is null is one without a token.
func (r *reader) tokens(node *yaml.Node) map[string]authz.Token {
	out := map[string]authz.Token{}
	r.pairs(node, func(key, value *yaml.Node) {
		if isNull(value) {
			out[key.Value] = authz.Token{Status: authz.TokenMissing}
			return
		}
		token := authz.Token{Status: authz.TokenValid, Claims: map[string]any{}, Header: map[string]any{}}
		r.fields(value, fields{
			"claims": func(n *yaml.Node) { token.Claims = r.object(n) },
			"header": func(n *yaml.Node) { token.Header = r.object(n) },
			"issuer": func(n *yaml.Node) { token.Issuer = r.text(n) },
		})
		if issuer, ok := token.Claims["iss"].(string); ok && token.Issuer == "" {
			token.Issuer = issuer
		}
		out[key.Value] = token
	})
	return out
}

// ParseRequest reads one request, in the form that a case has under request. An error is [Mistakes].
func ParseRequest(name string, text []byte) (*authz.Request, error) {
	r := &reader{file: name}
	var out *authz.Request
	if root := r.document(text); root != nil {
		out = r.request(root)
	}
	return out, r.err()
}

// ParseCurl reads one request from a curl line.
func ParseCurl(line string) (*authz.Request, error) {
	m, err := parseCurl(line)
	if err != nil {
		return nil, err
	}
	out := &authz.Request{}
	out.HTTP, out.Fault = m.http()
	return out, nil
}

// ParseClaims reads the claims of a token, in JSON or YAML, as a case states them. An error is
// [Mistakes].
func ParseClaims(name string, text []byte) (authz.Token, error) {
	r := &reader{file: name}
	token := authz.Token{Status: authz.TokenValid, Header: map[string]any{}}
	if root := r.document(text); root != nil {
		token.Claims = r.object(root)
		token.Issuer, _ = token.Claims["iss"].(string)
	}
	return token, r.err()
}
