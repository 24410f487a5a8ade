package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
)

// maxFileBytes is far above any configuration written by hand; larger data belongs in policy.files.
const maxFileBytes = 1 << 20

// Load reads the file at path. An error about its content is [Mistakes].
func Load(path string) (*Config, error) {
	data, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Read reads the file's bytes, for Parse.
func Read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return data, nil
}

// Parse reads a file's bytes; an error is [Mistakes]. Relative paths are taken from the directory
// of the file's name. An empty file is valid: it is [Default], which has no token rules, and whose
// shipped policies deny everything.
func Parse(name string, data []byte) (*Config, error) {
	src := newSource(name)
	root := src.document(data)
	if len(src.mistakes) > 0 {
		return nil, src.mistakes
	}
	cfg := Default()
	cfg.source = src
	if root != nil {
		src.decode(root, "", reflect.ValueOf(&cfg).Elem(), "")
	}
	cfg.fillRules()
	cfg.fillCandidate()
	check := checker{source: src, dir: filepath.Dir(name)}
	check.config(&cfg)
	if len(src.mistakes) > 0 {
		return nil, src.sorted()
	}
	return &cfg, nil
}
