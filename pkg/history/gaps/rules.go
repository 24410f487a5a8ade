package gaps

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/pkg/history/routes"
)

// unusedRules are those of the policy at hand that admitted nobody.
func (f *Finder) unusedRules() []Gap {
	if f.config.Policy == nil {
		return nil
	}
	var out []Gap
	for _, rule := range f.config.Policy.Rules {
		used := f.rules.entries[[2]string{rule.Name, rule.Route}]
		if used != nil && used.allowed > 0 {
			continue
		}
		what := "admitted nobody"
		if used != nil {
			what = fmt.Sprintf("admitted nobody, and was the nearest rule for %d denials", used.denied)
		}
		out = append(out, Gap{
			Kind: UnusedRule, Risk: 2, Subject: strings.TrimSpace(rule.Name + " " + rule.Route), What: what,
			Mend: "remove from policy.data: " + rule.Name + " " + routes.Line(rule.Stated),
		})
	}
	return out
}
