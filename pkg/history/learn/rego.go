package learn

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// rego writes rules as a policy, with the library's packages.
func rego(rules []rule, from *replayed) string {
	var allows strings.Builder
	used := map[string]bool{}
	for i := range rules {
		w := module{Builder: &allows, used: used}
		fmt.Fprintf(w, "\n# As %s.\nallow if {\n", decisions(rules[i].decisions()))
		w.rule(&rules[i])
		w.WriteString("}\n")
	}
	var out strings.Builder
	fmt.Fprintf(&out, "# METADATA\n# title: What was needed\n# description: learned from %s, and no wider than what they allow\npackage envoy.authz\n\n", decisions(from.decisions))
	for _, name := range []string{"body", "pattern", "roles", "scopes", "tokens", "workload"} {
		if used[name] {
			fmt.Fprintf(&out, "import data.sallyport.%s\n", name)
		}
	}
	out.WriteString("\n# METADATA\n# entrypoint: true\ndefault allow := false\n")
	return out.String() + allows.String()
}

func decisions(n int) string {
	if n == 1 {
		return "1 decision"
	}
	return fmt.Sprintf("%d decisions", n)
}

// A module is Rego in the making.
type module struct {
	*strings.Builder
	used map[string]bool // of the library
}

// line writes an expression that calls a package of the library, or none where library is "".
func (m module) line(library, format string, args ...any) {
	m.used[library] = true
	fmt.Fprintf(m, "\t"+format+"\n", args...)
}

func (m module) rule(r *rule) {
	if r.isNetwork() {
		m.line("", `object.get(input.attributes, ["request", "http"], null) == null`)
		m.line("workload", "workload.any(input.source.principal, %s)", literal(r.stated["principals"]))
		m.line("", "input.attributes.destination.address.socketAddress.portValue in %s", members(r.stated["ports"]))
		return
	}
	m.line("", "input.path_ambiguous == false")
	path, _ := r.stated["path"].(string)
	own := slices.Contains(strings.Split(path, "/"), ownSegment)
	if !own {
		m.line("pattern", "pattern.covers(%s, input.parsed_path)", literal(path))
	}
	m.line("", "input.attributes.request.http.method in %s", members(r.stated["methods"]))
	slots := list(r.stated["tokens"])
	if len(slots) > 0 {
		m.line("tokens", "tokens.valid(input.tokens, %s)", literal(slots))
		m.claims(r, fmt.Sprintf("tokens.claims(input.tokens, %s)", literal(slots[0])), own)
	}
	if principals := r.stated["principals"]; principals != nil {
		m.line("workload", "workload.any(input.source.principal, %s)", literal(principals))
	}
	if body := r.stated["body"]; body != nil {
		m.line("", "input.truncated_body == false")
		m.line("body", "body.within(input.parsed_body, %s)", literal(body))
	}
}

// claims writes what a rule asks of the first token.
func (m module) claims(r *rule, claims string, own bool) { //nolint:revive // own is the path's
	scopes, roles, wanted := r.stated["scopes"], r.stated["roles"], r.stated["claims"]
	if own {
		m.line("pattern", "pattern.captured(%s, input.parsed_path).sub == %s.sub", literal(r.stated["path"]), claims)
	}
	if scopes != nil {
		m.line("scopes", "scopes.all(%s, %s)", claims, literal(scopes))
	}
	if roles != nil {
		m.line("roles", "roles.any(%s, %s)", claims, literal(roles))
	}
	object, _ := wanted.(map[string]any)
	for _, name := range sortedNames(object) {
		m.line("tokens", "tokens.agree(%s[%s], %s)", claims, literal(name), literal(object[name]))
	}
}

// literal is a value of JSON as Rego has it.
func literal(value any) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "null" // of JSON's values nothing fails; null meets no condition
	}
	return strings.NewReplacer(`","`, `", "`).Replace(strings.TrimSpace(out.String()))
}

// members is a set of the items of a list.
func members(value any) string {
	text := literal(value)
	return "{" + strings.TrimSuffix(strings.TrimPrefix(text, "["), "]") + "}"
}
