package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/lint"
	"github.com/sallyport/sallyport/policies"
)

// hosts lets policies of tests use the network.
func hosts() policy.Capabilities { return policy.Capabilities{AllowNet: []string{"example.com"}} }

func run(t *testing.T, config policy.Config) []lint.Finding {
	t.Helper()
	reading, err := policy.Read(config)
	if err != nil {
		t.Fatal(err)
	}
	found, err := lint.Run(reading)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestFindings reads what is wanted from the comments: "# want: deny-undefined" on the line of a
// finding, or "# want+1: …" a line above it. Files without any must stay silent.
func TestFindings(t *testing.T) {
	for _, dir := range []string{"fault", "near"} {
		names, err := filepath.Glob(filepath.Join("testdata", dir, "*.rego"))
		if err != nil || len(names) == 0 {
			t.Fatal(names, err)
		}
		for _, name := range names {
			t.Run(dir+"/"+filepath.Base(name), func(t *testing.T) {
				want := wanted(t, name)
				if (dir == "fault") != (len(want) > 0) {
					t.Errorf("%d findings are wanted in a file of %s", len(want), dir)
				}
				var got []string
				for _, f := range run(t, policy.Config{Files: []string{name}, Capabilities: hosts()}) {
					got = append(got, fmt.Sprintf("%d: %s", f.Row, f.Rule))
					if f.Message == "" || f.Mend == "" || f.Col < 1 || f.File != name {
						t.Errorf("an incomplete finding: %+v", f)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func wanted(t *testing.T, name string) []string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i, line := range strings.Split(string(raw), "\n") {
		for mark, row := range map[string]int{"# want: ": i + 1, "# want+1: ": i + 2} {
			if _, ids, ok := strings.Cut(line, mark); ok {
				for id := range strings.SplitSeq(ids, " ") {
					want = append(want, fmt.Sprintf("%d: %s", row, id))
				}
			}
		}
	}
	return want
}

// TestEveryKindIsPlanted has a fault of each kind in testdata.
func TestEveryKindIsPlanted(t *testing.T) {
	names, err := filepath.Glob("testdata/fault/*.rego")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range names {
		all = append(all, wanted(t, name)...)
	}
	for _, kind := range lint.Kinds() {
		if !slices.ContainsFunc(all, func(w string) bool { return strings.HasSuffix(w, ": "+kind.ID) }) {
			t.Errorf("no fault of the kind %s is planted", kind.ID)
		}
	}
}

func TestShippedPoliciesAreClean(t *testing.T) {
	for _, f := range run(t, policy.Config{Default: policies.FS}) {
		t.Errorf("%s:%d:%d: %s: %s", f.File, f.Row, f.Col, f.Rule, f.Message)
	}
}
