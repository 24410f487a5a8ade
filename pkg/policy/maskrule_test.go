package policy_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// TestMaskRule has the policy say what is not recorded, as OPA's users do.
func TestMaskRule(t *testing.T) {
	const all = `{"attributes":{"request":{"http":{"method":"GET"}}},"parsed_path":["orders","7"],"parsed_query":{"user":["ann"]}}`
	const failed = "the rule system.log.mask failed"
	for name, tt := range map[string]struct{ rule, want, wantWithheld, wantIncomplete string }{
		"no rule":           {"other := 1", all, "", ""},
		"nothing":           {`mask contains "/input/x" if input.path == "other"`, all, "", ""},
		"what is not there": {`mask contains "/input/parsed_query/page"`, all, "input/parsed_query/page", ""},
		"a path": {
			`mask contains "/input/parsed_query/user" if input.path == "envoy/authz/allow"`,
			`{"attributes":{"request":{"http":{"method":"GET"}}},"parsed_path":["orders","7"],"parsed_query":{}}`, "input/parsed_query/user", "masked by the policy",
		},
		"a list, an element, another value": {
			`mask := [{"op": "remove", "path": "/input/parsed_path/1"}, {"op": "upsert", "path": "/input/parsed_query/user", "value": ["x"]}] if input.input.parsed_path[0] == "orders"`,
			`{"attributes":{"request":{"http":{"method":"GET"}}},"parsed_path":["orders",null],"parsed_query":{"user":["x"]}}`, "input/parsed_path/1 input/parsed_query/user", "masked by the policy",
		},
		"all":               {`mask contains "/input"`, `{}`, "input", "masked by the policy"},
		"of the result":     {`mask contains "/result/headers/x-user"`, all, "result/headers/x-user", ""},
		"no path":           {`mask contains "input"`, "", "input", failed},
		"an unknown op":     {`mask contains {"op": "hash", "path": "/input/x"}`, "", "input", failed},
		"no set":            {`mask := true`, "", "input", failed},
		"a builtin's error": {`mask contains "/input/x" if to_number(input.path) > 1`, "", "input", failed},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := policy.New(t.Context(), policy.Config{
				Default: fstest.MapFS{
					"authz.rego": {Data: []byte("package envoy.authz\n\nallow if {\n\tinput.attributes.request.http.method\n\tinput.parsed_path\n\tcount(input.parsed_query) > 0\n}")},
					"mask.rego":  {Data: []byte("package system.log\n\n" + tt.rule)},
				},
				Recording: &policy.Recording{},
			})
			if err != nil {
				t.Fatal(err)
			}
			req := get(t, "/orders/7?user=ann")
			for range 4 { // evaluated, and then from the memo
				basis, _ := basisOf(t, e, req, authz.Identity{})
				if diff := cmp.Diff(tt.want, string(basis.Input)); diff != "" {
					t.Errorf("input (-want +got):\n%s", diff)
				}
				if got := strings.Join(basis.Withheld, " "); got != tt.wantWithheld || basis.Incomplete != tt.wantIncomplete {
					t.Errorf("withheld %q, incomplete %q; want %q, %q", got, basis.Incomplete, tt.wantWithheld, tt.wantIncomplete)
				}
			}
		})
	}
}
