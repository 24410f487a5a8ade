package gaps

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/history/routes"
)

// mend says of a gap what it is, how bad it is, and what closes it.
func (f *Finder) mend(m mark, h *hit) Gap {
	d := m.detail
	switch m.kind {
	case NoToken:
		return f.mendNoToken(d)
	case NoWorkload:
		return Gap{
			Risk: 3, What: "allowed to a user whose calling workload proved nothing: neither a token of its own nor a certificate",
			Mend: f.change(d, `input.source.principal == "spiffe://example.org/ns/NAMESPACE/sa/CALLER"`, f.withWorkload),
		}
	case NoMTLS:
		return Gap{
			Risk: 3, What: "allowed on connections without a client certificate, so who is in between is not known",
			Mend: "Envoy, in the listener's DownstreamTlsContext: require_client_certificate: true\nIstio, PeerAuthentication: spec: {mtls: {mode: STRICT}}",
		}
	case ByDefault:
		return mendDefault(m.subject, d)
	case LongLived:
		return Gap{
			Risk: 3, What: fmt.Sprintf("tokens that live up to %s: a stolen one is good as long", span(h.longest)),
			Mend: fmt.Sprintf("jwt.rules, %s: maxLifetime: %s\n(after the issuer has shortened them, since longer ones are then refused)", d.slot, span(f.config.MaxLifetime)),
		}
	case WeakAlgorithm:
		return mendAlgorithm(d)
	}
	return Gap{ // WideAudience
		Risk: 3, What: "tokens for " + d.audiences + ": each of these services can use one at the others",
		Mend: fmt.Sprintf("Have the issuer make a token for each service (RFC 8707, resource). To refuse the others, in Rego:\ninput.tokens[%q].claims.aud in {\"THIS_SERVICE\", [\"THIS_SERVICE\"]}", d.slot),
	}
}

func (f *Finder) mendNoToken(d detail) Gap {
	rule := f.rule(d)
	gap := Gap{
		Risk: 5, What: "allowed to callers that proved nothing",
		Mend: f.change(d, fmt.Sprintf("input.tokens[%q].status == \"valid\"", f.userSlot()), f.withToken),
	}
	switch {
	case d.certified:
		gap.Risk, gap.What = 2, "allowed by the workload's certificate alone, whoever the user is"
	case rule != nil && rule.Stated["public"] == true:
		gap.Risk, gap.What = 2, "allowed to anybody, as its rule says (public: true)"
		gap.Mend += "\n(or leave it, where it is meant for everybody)"
	}
	return gap
}

func mendDefault(pattern string, d detail) Gap {
	method, path, _ := strings.Cut(pattern, " ")
	rule := fmt.Sprintf("policy.data.routes: - {path: %s, methods: [%s], tokens: [SLOT]}", strings.ReplaceAll(path, "{}", "*"), method)
	switch {
	case d.allowed:
		return Gap{Risk: 5, What: "allowed, and no rule said so", Mend: "default allow := false\nand a rule for what is meant, such as " + rule}
	case d.undefined:
		return Gap{Risk: 2, What: "denied since the policy had no answer at all", Mend: "default allow := false"}
	}
	return Gap{Risk: 1, What: "denied, and no rule is about it: nobody has thought of it, or somebody probes", Mend: "Where it is meant: " + rule + "\nElse nothing: the default denies."}
}

func mendAlgorithm(d detail) Gap {
	mend := fmt.Sprintf("jwt.rules, %s: algorithms: [PS256, ES256, EdDSA]\n(after the issuer signs with one of them)", d.slot)
	if isWeak(d.algorithm) {
		return Gap{Risk: 5, What: "tokens by " + d.algorithm + ": whoever can verify one can make one", Mend: mend}
	}
	return Gap{Risk: 1, What: "tokens by " + d.algorithm + " (PKCS #1 v1.5), which FAPI 2.0, section 5.4.1, no longer takes", Mend: mend}
}

// rule is the one that decided, where the policy at hand has it.
func (f *Finder) rule(d detail) *Rule {
	if f.config.Policy == nil {
		return nil
	}
	for i, r := range f.config.Policy.Rules {
		if r.Name == d.rule && r.Route == d.route {
			return &f.config.Policy.Rules[i]
		}
	}
	return nil
}

// change is a line of the configuration where the rule that decided stands there, and one of Rego else.
func (f *Finder) change(d detail, rego string, how func(stated map[string]any)) string {
	rule := f.rule(d)
	switch {
	case rule != nil:
		stated := maps.Clone(rule.Stated)
		how(stated)
		return "policy.data." + rule.Name + ": " + routes.Line(stated)
	case d.rule != "":
		return "in " + strings.TrimSpace(d.rule+" "+d.route) + ", as a condition: " + rego
	}
	return "in the rule that allows it: " + rego
}

func (f *Finder) withToken(stated map[string]any) {
	delete(stated, "public")
	stated["tokens"] = append([]any{f.userSlot()}, list(stated["tokens"])...)
}

// withWorkload asks for the workload's token, where there is a slot for one, and else for its certificate.
func (f *Finder) withWorkload(stated map[string]any) {
	delete(stated, "public")
	if len(f.config.Workloads) == 0 {
		stated["principals"] = []any{"spiffe://example.org/ns/NAMESPACE/sa/CALLER"}
		return
	}
	tokens := list(stated["tokens"])
	if len(tokens) == 0 {
		tokens = []any{f.userSlot()}
	}
	stated["tokens"] = append(slices.Clone(tokens), f.config.Workloads[0])
}

func list(value any) []any {
	items, _ := value.([]any)
	return items
}

// userSlot is the first slot that is not workloads'.
func (f *Finder) userSlot() string {
	slots := map[string]bool{}
	for _, p := range f.pairs.entries {
		for slot := range p.sample.Tokens {
			slots[slot] = !slices.Contains(f.config.Workloads, slot)
		}
	}
	for _, slot := range slices.Sorted(maps.Keys(slots)) {
		if slots[slot] {
			return slot
		}
	}
	return "users"
}

// span is a duration as configurations have it.
func span(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
