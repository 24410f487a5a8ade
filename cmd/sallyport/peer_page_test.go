package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

func migrationPage(t *testing.T) string {
	t.Helper()
	return readText(t, "..", "..", "deploy", "migrate-from-opa-envoy-plugin.md")
}

// Each difference that the page names has a case, and each case that differs is on the page.
func TestMigrationDifferences(t *testing.T) {
	_, list, found := strings.Cut(migrationPage(t), "\n## What decides otherwise\n")
	if !found {
		t.Fatal("the page has no list of differences")
	}
	list, _, _ = strings.Cut(list, "\n## ")
	var documented []string
	for _, item := range regexp.MustCompile(`(?m)^- \*\*(.*?)\.\*\*`).FindAllStringSubmatch(list, -1) {
		documented = append(documented, item[1])
	}
	tested := map[string]bool{}
	files, err := filepath.Glob(filepath.Join("testdata", "peer", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		for _, group := range readGroups(t, file) {
			for _, tc := range group.Cases {
				if tc.Differs != "" {
					tested[tc.Differs] = true
				}
			}
		}
	}
	slices.Sort(documented)
	if diff := cmp.Diff(documented, slices.Sorted(maps.Keys(tested))); diff != "" {
		t.Errorf("differences (-on the page +in the cases):\n%s", diff)
	}
}

// The configurations on the page are good ones.
func TestMigrationConfigurations(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(migrationPage(t), -1)
	if len(blocks) == 0 {
		t.Fatal("the page has no configuration")
	}
	for _, block := range blocks {
		dir := t.TempDir()
		writeText(t, filepath.Join(dir, "services.pb"), "")
		if err := os.Mkdir(filepath.Join(dir, "policies"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte(block[1])); err != nil {
			t.Errorf("%v in\n%s", err, block[1])
		}
	}
}
