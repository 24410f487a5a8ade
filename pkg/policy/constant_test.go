package policy_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

// TestConstantsAreComputedOnce counts allocations, which tell whether the list was looked through.
func TestConstantsAreComputedOnce(t *testing.T) {
	numbers := make([]int, 1000)
	data := map[string]any{"numbers": numbers}
	once := configured(t, "allow if big\n\nbig if count([n | some n in data.numbers; n < 1]) == 1000", policy.Config{Data: data, MemoBytes: -1})
	each := configured(t, "allow if big\n\nbig if count([n | some n in data.numbers; n < count(input.tokens) + 1]) == 1000", policy.Config{Data: data, MemoBytes: -1})
	if once, each := allocations(t, once, "/"), allocations(t, each, "/"); once > 300 || each < 1000 {
		t.Errorf("%v allocations, and %v where the rule depends on input; want few and many", once, each)
	}
}

// TestRoutesElsewhereCostNothing shows that the rules of the shipped policy that a request's path does
// not meet are not looked at.
func TestRoutesElsewhereCostNothing(t *testing.T) {
	some, many := withRoutes(t, 5), withRoutes(t, 200)
	if some, many := allocations(t, some, "/orders/1"), allocations(t, many, "/orders/1"); many > some+50 {
		t.Errorf("%v allocations with 5 routes, %v with 200", some, many)
	}
}

func withRoutes(t *testing.T, count int) *policy.Engine {
	t.Helper()
	routes := []any{map[string]any{"path": "/orders/**", "roles": []string{"clerk"}}}
	for i := range count {
		routes = append(routes, map[string]any{"path": fmt.Sprintf("/place-%d/{sub}/*/**", i), "roles": []string{"clerk"}})
	}
	e, err := policy.New(t.Context(), policy.Config{Default: policies.FS, MemoBytes: -1, Data: map[string]any{"routes": routes}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func allocations(t *testing.T, e *policy.Engine, path string) float64 {
	t.Helper()
	req, id := get(t, path), clerk()
	return testing.AllocsPerRun(10, func() {
		if d, err := e.Decide(t.Context(), req, id); err != nil || !d.Allowed {
			t.Errorf("got %+v, %v, want an allow", d, err)
		}
	})
}

// TestConstantsUnderWith replaces what constants were computed from.
func TestConstantsUnderWith(t *testing.T) {
	for name, rules := range map[string]string{
		"data":            "allow if limit == 5 with data.limit as 5\n\nlimit := data.limit",
		"a rule":          "allow if limit == 5 with base as 5\n\nlimit := base\n\nbase := data.limit",
		"a builtin":       "allow if limit == 5 with count as 5\n\nlimit := count([data.limit])",
		"and afterwards":  "allow if {\n\tlimit == 5 with data.limit as 5\n\tlimit == 1\n}\n\nlimit := data.limit",
		"a set":           "allow if 5 in limits with data.limit as 5\n\nlimits contains data.limit",
		"what is unset":   "allow if limit == 5 with data.other as 5\n\nlimit := data.other",
		"input, and back": "allow if {\n\tname == \"x\" with input as {\"name\": \"x\"}\n\tlimit == 1\n}\n\nname := input.name\n\nlimit := data.limit",
	} {
		t.Run(name, func(t *testing.T) {
			e := configured(t, rules, policy.Config{Data: map[string]any{"limit": 1}})
			if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); err != nil || !d.Allowed {
				t.Errorf("got %+v, %v, want an allow", d, err)
			}
		})
	}
}

// TestConstantsHideNoFailure has rules about data alone that fail: each check says so.
func TestConstantsHideNoFailure(t *testing.T) {
	for name, tc := range map[string]struct {
		rules string
		want  authz.Reason
	}{
		"a builtin":           {"default allow := true\n\nallow := false if to_number(data.age) < 18", authz.PolicyError},
		"a builtin under not": {"allow if not minor\n\nminor if to_number(data.age) < 18", authz.PolicyError},
		"the rule index":      {"allow if not minor\n\nminor if startswith(data.list, \"x\")", authz.PolicyError},
		"conflicting values":  {"allow := a\n\na := count(data.age) == 6\n\na := count(data.list) == 0", authz.PolicyConflict},
		"conflicting keys":    {"allow if o.x\n\no := {k: v | some v in data.list; k := \"x\"}", authz.PolicyConflict},
		"undefined":           {"allow if data.nothing", authz.PolicyUndefined},
	} {
		t.Run(name, func(t *testing.T) {
			e := configured(t, tc.rules, policy.Config{Data: map[string]any{"age": "secret", "list": []string{"a", "b"}}})
			for range 2 {
				if d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{}); authz.ReasonOf(err) != tc.want {
					t.Errorf("got %+v, %v, want %s", d, err, tc.want)
				}
			}
		})
	}
}

// TestWhatVariesIsNoConstant has rules that speak of the request, or of the clock, in every way.
func TestWhatVariesIsNoConstant(t *testing.T) {
	for name, rules := range map[string]string{
		"input":            "allow if again\n\nagain if input.parsed_path[0] == \"again\"",
		"all of input":     "allow if again\n\nagain if object.get(input, [\"parsed_path\", 0], \"\") == \"again\"",
		"a function":       "allow if again\n\nagain if f(0) == \"again\"\n\nf(i) := input.parsed_path[i]",
		"an else":          "allow if again\n\nagain := false if data.nothing else := true if input.parsed_path[0] == \"again\"",
		"a partial set":    "allow if \"again\" in names\n\nnames contains name if some name in input.parsed_path",
		"a partial object": "allow if names.again\n\nnames[name] if some name in input.parsed_path",
		"a default":        "default again := false\n\nagain if input.parsed_path[0] == \"again\"\n\nallow if again",
		"a dynamic name":   "allow if again\n\nagain if {\n\tsome name in [\"path\"]\n\tdata.envoy.authz[name] == \"again\"\n}\n\npath := input.parsed_path[0]",
		"a whole package":  "allow if again\n\nagain if data.envoy.authz.deep == {\"path\": \"again\"}\n\ndeep.path := input.parsed_path[0]",
		"a mocked builtin": "allow if again\n\nagain if lower(\"x\") == \"again\" with lower as path\n\npath(_) := input.parsed_path[0]",
		"the clock":        "allow if again\n\nagain if time.now_ns() > 1000000000",
		"a mocked clock":   "allow if again\n\nagain if now(1) > 1000000000\n\nnow(_) := time.now_ns()",
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(0, 0)
			e := configured(t, rules, policy.Config{Now: func() time.Time { return now }})
			if d, err := e.Decide(t.Context(), get(t, "/first"), authz.Identity{}); d.Allowed {
				t.Errorf("first: got %+v, %v, want no allow", d, err)
			}
			now = time.Unix(2, 0)
			if d, err := e.Decide(t.Context(), get(t, "/again"), authz.Identity{}); err != nil || !d.Allowed {
				t.Errorf("again: got %+v, %v, want an allow", d, err)
			}
		})
	}
}

// TestConstantsThatTakeLong delay a load, but not for ever.
func TestConstantsThatTakeLong(t *testing.T) {
	var log bytes.Buffer
	configured(t, strings.Replace(endless, "input.version", "true", 1), policy.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if !strings.Contains(log.String(), "evaluated by each check") {
		t.Errorf("log %q, want a warning in it", log.String())
	}
}
