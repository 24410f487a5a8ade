package doctor_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/envoy/doctor"
)

// TestPage holds deploy/doctor.md to the kinds: each has a row under the heading of its severity, in
// their order, and there is no other.
func TestPage(t *testing.T) {
	raw, err := os.ReadFile("../../../deploy/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	var want []string
	for _, kind := range doctor.Kinds() {
		want = append(want, string(kind.Severity)+": "+kind.Code)
		if kind.Mend == "" {
			t.Errorf("%s has no mend", kind.Code)
		}
	}
	var got []string
	for _, section := range strings.Split(page, "\n### ")[1:] {
		severity, rows, _ := strings.Cut(section, "\n")
		for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| .{20,} \\|$").FindAllStringSubmatch(rows, -1) {
			got = append(got, strings.ToLower(severity)+": "+row[1])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
