package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sallyportTest runs the command test.
func sallyportTest(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(append([]string{"test"}, args...), &out, &errs)
	return status, out.String(), errs.String()
}

// The example of policies/TESTING.md passes, each of its cases can fail, and every field is described.
func TestPageAboutTests(t *testing.T) {
	page, err := os.ReadFile("../../policies/TESTING.md")
	if err != nil {
		t.Fatal(err)
	}
	rego := regexp.MustCompile("(?s)```rego\n(.*?)```").FindSubmatch(page)
	cases := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(page)
	if rego == nil || cases == nil {
		t.Fatal("the page has no example")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "orders.cases.yaml")
	writeFile(t, filepath.Join(dir, "orders.rego"), rego[1])
	writeFile(t, file, cases[1])
	if status, out, errs := sallyportTest(dir); status != 0 || out != "PASS: 4/4\n" {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	swapped := strings.NewReplacer("allowed: true", "allowed: false", "allowed: false", "allowed: true", "status:", "#").Replace(string(cases[1]))
	swapped = strings.ReplaceAll(swapped, ", #", "} #")
	writeFile(t, file, []byte(swapped))
	if status, out, errs := sallyportTest(dir); status != exitTestFailed || !strings.HasSuffix(out, "FAIL: 4/4\n") {
		t.Errorf("swapped: status %d\n%s%s", status, out, errs)
	}
	checkDescribed(t, page, dir, file)
}

// checkDescribed finds out which fields there are from what is said about unknown ones.
func checkDescribed(t *testing.T, page []byte, dir, file string) {
	t.Helper()
	const unknown = "zzzzzzzzzzzz: 1"
	writeFile(t, file, []byte("cases:\n- {request: {"+unknown+"}, "+unknown+", expect: {"+unknown+"}, tokens: {users: {"+unknown+"}}}\n"+unknown+"\n"))
	_, _, errs := sallyportTest(dir)
	known := regexp.MustCompile(`known are (.*)`).FindAllStringSubmatch(errs, -1)
	if len(known) != 5 {
		t.Fatalf("%d lists of fields in\n%s", len(known), errs)
	}
	for _, list := range known {
		for name := range strings.SplitSeq(list[1], ", ") {
			if !bytes.Contains(page, []byte("`"+name+"`")) {
				t.Errorf("the page does not describe %s", name)
			}
		}
	}
}

// The shipped policy passes its own tests and cases, which reach every line but few.
func TestShippedCases(t *testing.T) {
	if status, out, errs := sallyportTest("../../policies", "--threshold", "95"); status != 0 {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

func writeFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
