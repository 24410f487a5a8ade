package pack

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/pkg/policy"
)

// borrow writes the files of the library that the policy uses where OPA's loader finds them. Bundles
// have them already, or are to have them from the server: only their roots may be in them.
func (c *Config) borrow() error {
	if c.Bundles || c.Policy.Library == nil {
		return nil
	}
	wanted := c.Policy
	wanted.Files, wanted.OPA, wanted.Default = c.Paths, nil, nil
	reading, err := policy.Read(wanted)
	if err != nil || len(reading.Borrowed) == 0 {
		return nil //nolint:nilerr // OPA's compiler says it better, and a bundle may be data alone
	}
	if c.borrowed, err = os.MkdirTemp("", "library-"); err != nil {
		return err
	}
	for _, name := range reading.Borrowed {
		text, err := fs.ReadFile(c.Policy.Library, name)
		if err != nil {
			return err
		}
		file := filepath.Join(c.borrowed, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// paths are all that goes into the bundle.
func (c *Config) paths() []string {
	if c.borrowed == "" {
		return c.Paths
	}
	return append(slices.Clip(c.Paths), c.borrowed)
}
