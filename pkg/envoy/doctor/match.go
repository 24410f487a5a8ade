package doctor

import (
	"regexp"
	"slices"
	"strings"
)

// anyMatches tells whether one of a list of StringMatchers takes a header's name.
func (n *node) anyMatches(name string) bool {
	return slices.ContainsFunc(n.items(), func(m *node) bool { return m.matchesText(name) })
}

// matchesText is envoy.type.matcher.v3.StringMatcher.
func (n *node) matchesText(text string) bool {
	fold := func(s string) string { return s }
	if n.get("ignore_case").isTrue() {
		fold = strings.ToLower
	}
	for _, m := range n.items() {
		switch m.key {
		case "exact":
			return fold(text) == fold(m.text)
		case "prefix":
			return strings.HasPrefix(fold(text), fold(m.text))
		case "suffix":
			return strings.HasSuffix(fold(text), fold(m.text))
		case "contains":
			return strings.Contains(fold(text), fold(m.text))
		case "safe_regex", "safeRegex":
			return matches(m.get("regex").string(), text)
		}
	}
	return false
}

// matches tells whether an expression takes the whole text, as Envoy's do. One that cannot be read
// takes none; Envoy, whose expressions are RE2 too, would not have started.
func matches(expression, text string) bool {
	compiled, err := regexp.Compile("^(?:" + expression + ")$")
	return err == nil && compiled.MatchString(text)
}
