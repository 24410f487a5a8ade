package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// existing resolves a path, and refuses it where no file or directory can be read there.
func (c *checker) existing(path *string, at string) os.FileMode {
	if *path == "" {
		return 0
	}
	*path = c.resolve(*path)
	info, err := os.Stat(*path)
	switch {
	case err != nil:
		c.fault(at, "%q: %v", *path, cause(err))
	case !info.Mode().IsRegular() && !info.IsDir(): // opening a pipe would wait
		c.fault(at, "%q: neither a file nor a directory", *path)
	default:
		file, err := os.Open(*path)
		if err != nil {
			c.fault(at, "%q: %v", *path, cause(err))
			return 0
		}
		file.Close()
		return info.Mode()
	}
	return 0
}

func (c *checker) existingFile(path *string, at string) {
	if c.existing(path, at).IsDir() {
		c.fault(at, "%q: a directory, not a file", *path)
	}
}

// newFile resolves the path of a file that will be written.
func (c *checker) newFile(path *string, at string) {
	*path = c.resolve(*path)
	if info, err := os.Stat(filepath.Dir(*path)); err != nil {
		c.fault(at, "%q: %v", *path, cause(err))
	} else if !info.IsDir() {
		c.fault(at, "%q: not in a directory", *path)
	}
}

func (c *checker) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(c.dir, path)
}

// cause is what the system says about a file, without the path: the mistake names the setting.
func cause(err error) error {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
