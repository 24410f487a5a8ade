package lint_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestWidePolicies has rules that use one another in very many ways. They are not all followed, so that
// the linter comes back.
func TestWidePolicies(t *testing.T) {
	const levels, ways = 12, 3
	texts := map[string]func(level, way int) string{
		"conditions": func(level, way int) string {
			return fmt.Sprintf("r%d if { r%d; not r%d; input.a%d }\n", level, level+1, level+1, way)
		},
		"names": func(level, way int) string { return fmt.Sprintf("r%d := r%d if input.a%d\n", level, level+1, way) },
		"functions": func(level, way int) string {
			return fmt.Sprintf("r%d if { f%d(input.a); r%d }\n\nf%d(x) if { f%d(x); f%d(x.y%d) }\n", level, level, level+1, level, level+1, level+1, way)
		},
		"sets": func(level, way int) string {
			return fmt.Sprintf("r%d contains x if { some x in r%d; count(r%d) == %d; not x in r%d }\n", level, level+1, level+1, way, level+1)
		},
		"values": func(level, way int) string {
			return fmt.Sprintf("r%d := [r%d, r%d[0], %d]\n", level, level+1, level+1, way)
		},
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			var module strings.Builder
			module.WriteString("package envoy.authz\n\nallow if r0\n\nallow if not r0\n\n")
			for level := range levels {
				for way := range ways {
					module.WriteString(text(level, way))
				}
			}
			switch name {
			case "functions":
				fmt.Fprintf(&module, "f%d(x) if x\n\nr%d if input.b\n", levels, levels)
			case "sets":
				fmt.Fprintf(&module, "r%d contains x if some x in input.b\n", levels)
			default:
				fmt.Fprintf(&module, "r%d := input.b\n", levels)
			}
			start := time.Now()
			if !lintText(module.String()) {
				t.Error("it does not compile")
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("it took %v", took)
			}
		})
	}
}
