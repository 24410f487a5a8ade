package learn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/routes"
)

// A file is a file of request cases, as policies/TESTING.md describes it.
type file struct {
	Slots []string   `yaml:"slots,flow"`
	Cases []testCase `yaml:"cases"`
}

type testCase struct {
	Note    string         `yaml:"note"`
	Request request        `yaml:"request,flow"`
	Tokens  map[string]any `yaml:"tokens,omitempty,flow"`
	Expect  expectation    `yaml:"expect,flow"`
}

type request struct {
	Network     bool           `yaml:"network,omitempty"`
	Method      string         `yaml:"method,omitempty"`
	Path        string         `yaml:"path,omitempty"`
	JSON        any            `yaml:"json,omitempty"`
	Source      map[string]any `yaml:"source,omitempty"`
	Destination map[string]any `yaml:"destination,omitempty"`
}

type expectation struct {
	Allowed bool `yaml:"allowed"`
}

// cases writes the samples of what is allowed and of what was denied, after data for the policy, if it
// needs any.
func (l *learner) cases(rules []rule, data string) string {
	out, slots := file{}, map[string]bool{}
	add := func(r *history.Record) {
		for slot := range r.Tokens {
			slots[slot] = true
		}
		out.Cases = append(out.Cases, caseOf(r))
	}
	for _, p := range profilesOf(rules) {
		for _, r := range p.samples[:min(len(p.samples), max(0, maxCases-len(out.Cases)))] {
			add(r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.seen.denials)) {
		if r := l.seen.denials[name]; isDenial(r) {
			add(r)
		}
	}
	out.Slots = slices.Sorted(maps.Keys(slots))
	text, err := yaml.Marshal(out)
	if err != nil {
		return "" // of such values nothing fails
	}
	return "# Made from recorded decisions: what was allowed must be, and what was denied must not.\n" + data + string(text)
}

// profilesOf are those that rules were made of, each once.
func profilesOf(rules []rule) []*profile {
	var out []*profile
	for _, r := range rules {
		for _, p := range r.of {
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

func caseOf(r *history.Record) testCase {
	verb := map[bool]string{true: "may", false: "may not"}[r.Allowed]
	c := testCase{
		Note:    fmt.Sprintf("%s %s %s, as in %s", r.Principal(), verb, strings.TrimSpace(r.Method+" "+r.Path+port(r)), r.ID),
		Request: request{Method: r.Method, Path: r.Path, Network: r.Method == ""},
		Expect:  expectation{r.Allowed},
	}
	if r.Source.Principal != "" {
		c.Request.Source = map[string]any{"principal": r.Source.Principal}
	}
	if r.Method == "" {
		c.Request.Destination = map[string]any{"address": r.Destination.Address, "port": r.Destination.Port}
	}
	var body any
	if text := r.Body(); text != nil && decode(text, &body) == nil {
		c.Request.JSON = routes.Plain(body)
	}
	for slot, token := range r.RemakeIdentity().Tokens {
		if token.Status != authz.TokenValid {
			continue
		}
		if c.Tokens == nil {
			c.Tokens = map[string]any{}
		}
		claims := maps.Clone(token.Claims)
		maps.DeleteFunc(claims, func(name string, _ any) bool { return slices.Contains(passing, name) })
		c.Tokens[slot] = map[string]any{"claims": routes.Plain(claims)}
	}
	return c
}

// passing are the claims that are others in the next token.
var passing = []string{"exp", "nbf", "iat", "jti", "nonce", "at_hash"}

func port(r *history.Record) string {
	if r.Method != "" {
		return ""
	}
	return fmt.Sprintf("port %d", r.Destination.Port)
}

func sortedNames(of map[string]any) []string { return slices.Sorted(maps.Keys(of)) }
