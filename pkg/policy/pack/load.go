package pack

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/loader"

	"github.com/sallyport/sallyport/pkg/policy"
)

// leavesOut is OPA's loader filter: it tells what does not go into a bundle. Tests and request
// cases are for authors, and hidden files are somebody else's, but for a bundle's own two.
func (c *Config) leavesOut(name string, info fs.FileInfo, depth int) bool {
	base := path.Base(info.Name())
	switch {
	case info.IsDir() && depth == 0, base == ".", base == "..":
		return false
	case strings.HasPrefix(base, "."):
		return !c.Bundles || !slices.Contains([]string{".manifest", ".signatures.json"}, base)
	case info.IsDir():
	case strings.HasSuffix(base, "_test.rego"), policy.IsCases(base):
		return true
	case strings.HasSuffix(base, ".tar.gz"):
		return !c.Bundles
	}
	return slices.ContainsFunc(c.Ignore, func(pattern string) bool {
		return loader.GlobExcludeName(pattern, 1)(name, info, depth)
	})
}
