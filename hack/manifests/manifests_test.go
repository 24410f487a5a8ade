package manifests_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

const deploy = "../../deploy"

// Every manifest that users apply is one of its API, and every pod in it is restricted.
func TestManifests(t *testing.T) {
	count := 0
	known := newSchemas()
	for _, dir := range []string{"istio", "gateway", "kubernetes"} {
		files, err := filepath.Glob(filepath.Join(deploy, dir, "*.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if filepath.Base(file) == "istiod.yaml" {
				continue // values of a chart: TestMeshConfig
			}
			count++
			t.Run(dir+"/"+filepath.Base(file), func(t *testing.T) { checkManifest(t, known, read(t, file)) })
		}
	}
	if count < 10 {
		t.Errorf("only %d manifests were found", count)
	}
}

func checkManifest(t *testing.T, known *schemas, text string) {
	t.Helper()
	resources, err := documents(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(resources) == 0 {
		t.Error("there is nothing in it")
	}
	for _, r := range resources {
		refusesFaults(t, r)
		if err := known.check(t, r); err != nil {
			t.Errorf("%s %s: %v", r.Kind, r.Metadata.Name, err)
		}
		for _, pod := range r.pods() {
			if err := restricted(pod); err != nil {
				t.Errorf("%s %s: %v", r.Kind, r.Metadata.Name, err)
			}
		}
	}
}

// The YAML of the pages says in its first line what it is, and is that.
func TestPages(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")
	found, known := 0, newSchemas()
	for _, dir := range []string{"istio", "gateway", "kubernetes", "compose"} {
		page := read(t, filepath.Join(deploy, dir, "README.md"))
		for _, match := range block.FindAllStringSubmatch(page, -1) {
			found++
			text := match[1]
			name, _, _ := strings.Cut(strings.TrimPrefix(text, "# "), "\n")
			t.Run(dir+"/"+name, func(t *testing.T) { checkBlock(t, known, text) })
		}
	}
	if found == 0 {
		t.Error("no YAML was found")
	}
}

func checkBlock(t *testing.T, known *schemas, text string) {
	t.Helper()
	name := strings.TrimPrefix(text, "# ")
	switch {
	case strings.HasPrefix(name, "values.yaml"):
		render(t, text)
	case strings.HasPrefix(name, "config.yaml"):
		dir := t.TempDir()
		write(t, filepath.Join(dir, "keys.json"), `{"keys": []}`)
		if _, err := config.Parse(filepath.Join(dir, "config.yaml"), []byte(text)); err != nil {
			t.Error(err)
		}
	default:
		checkManifest(t, known, text)
	}
}
