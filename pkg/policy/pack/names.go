package pack

import (
	"path"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// rename names modules from where their path begins, so that a bundle does not depend on, nor tell,
// where its author keeps it. Names that would then be the same stay as they are.
func (c *Config) rename(b *bundle.Bundle) {
	if len(b.Manifest.FileRegoVersions) > 0 {
		return // it speaks of the names
	}
	short := make([]string, len(b.Modules))
	seen := map[string]bool{}
	for i, module := range b.Modules {
		short[i] = c.shorten(module.URL)
		if seen[short[i]] {
			return
		}
		seen[short[i]] = true
	}
	for i := range b.Modules {
		b.Modules[i].URL, b.Modules[i].Path = short[i], short[i]
	}
}

func (c *Config) shorten(name string) string {
	name = strings.TrimPrefix(path.Clean(filepath.ToSlash(name)), "/")
	for _, given := range c.paths() {
		root := strings.TrimPrefix(path.Clean(filepath.ToSlash(given)), "/")
		if name == root {
			return "/" + path.Base(name)
		}
		if rest, ok := strings.CutPrefix(name, root+"/"); ok {
			return "/" + rest
		}
	}
	return "/" + name
}
