package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

// A source is everything a policy is made of, read and parsed, not yet compiled.
type source struct {
	modules map[string]*ast.Module
	data    map[string]any
	bodies  bodyReader

	capabilities *ast.Capabilities
	library      fs.FS
	revisions    []string // of the bundles
	loose        []string // digests of what came outside of bundles
	archives     []string // digests of the bundles' files
	borrowed     []string // digests of what came from the library
	annotated    bool     // read annotations too, which only tools look at
}

// readSource reads all that the configuration names.
func readSource(config Config, capabilities *ast.Capabilities) (*source, error) {
	s := &source{modules: map[string]*ast.Module{}, data: map[string]any{}, capabilities: capabilities, library: config.Library}
	return s, s.read(config)
}

func (s *source) read(config Config) error {
	s.bodies.skip = config.SkipRequestBodyParse
	if err := s.addDescriptors(config); err != nil {
		return err
	}
	for _, name := range config.Files {
		if err := s.addPath(name); err != nil {
			return fmt.Errorf("policy: load %s: %w", name, err)
		}
	}
	if len(config.Files) == 0 && config.Default != nil && !hasBundles(config.OPA) {
		if err := s.addDir(config.Default, "", ".", nil); err != nil {
			return fmt.Errorf("policy: load the default policies: %w", err)
		}
	}
	for _, name := range util.KeysSorted(config.Modules) {
		text := []byte(config.Modules[name])
		s.loose = append(s.loose, digest(text))
		if err := s.addModule(name, text); err != nil {
			return fmt.Errorf("policy: load %s: %w", name, err)
		}
	}
	if err := s.addConfigured(config.Data); err != nil {
		return fmt.Errorf("policy: load the configured data: %w", err)
	}
	return nil
}

func (s *source) addPath(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return s.addDir(os.DirFS(name), name, ".", nil)
	}
	if !isSource(name) {
		return errors.New("not a .rego, .json, .yaml, .yml or .tar.gz file, nor a directory")
	}
	return s.addFile(os.DirFS(filepath.Dir(name)), filepath.Dir(name), filepath.Base(name), nil)
}

// addDir walks a directory. It follows symbolic links, because a mounted ConfigMap is made of
// them, and leaves out names with a leading dot, because the same mount holds its files a second
// time under one.
func (s *source) addDir(fsys fs.FS, prefix, dir string, root []string) error {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		info, err := fs.Stat(fsys, name)
		switch {
		case strings.HasPrefix(entry.Name(), "."), strings.HasSuffix(name, regoTest), IsCases(name):
			continue
		case err != nil:
			return err
		case info.IsDir():
			err = s.addDir(fsys, prefix, name, append(slices.Clone(root), entry.Name()))
		case isSource(name):
			err = s.addFile(fsys, prefix, name, root)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// regoTest ends the names of files with Rego tests.
const regoTest = "_test.rego"

// IsCases tells whether a file holds request cases or invariants, those of "sallyport test", and no data.
func IsCases(name string) bool {
	ends := []string{".cases.yaml", ".cases.yml", ".cases.json", ".invariants.yaml", ".invariants.yml", ".invariants.json"}
	return slices.ContainsFunc(ends, func(end string) bool {
		return strings.HasSuffix(name, end)
	})
}

func isSource(name string) bool {
	return slices.Contains([]string{".rego", ".json", ".yaml", ".yml"}, path.Ext(name)) || isBundle(name)
}

func isBundle(name string) bool { return strings.HasSuffix(name, ".tar.gz") }

// addFile adds one file; a data file's content goes under root.
func (s *source) addFile(fsys fs.FS, prefix, name string, root []string) error {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	full := filepath.Join(prefix, name)
	switch {
	case isBundle(name):
		return s.addBundle(full, raw)
	case path.Ext(name) == ".rego":
		s.loose = append(s.loose, digest(raw))
		return s.addModule(full, raw)
	}
	s.loose = append(s.loose, digest([]byte(strings.Join(root, "/")), raw))
	var value any
	if err := util.Unmarshal(raw, &value); err != nil {
		return fmt.Errorf("%s: %w", full, err)
	}
	for _, segment := range slices.Backward(root) {
		value = map[string]any{segment: value}
	}
	object, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: the data must be an object", full)
	}
	return s.addData(full, object)
}

// addModule parses a module as Rego v1 and, where that fails, as v0, the language of policies
// older than OPA 1.0. A module knows its own version from then on, so that both live side by
// side. Most v0 modules do not parse as v1 ("if" and "contains" are missing), and those that do
// mean the same, but for functions that v1 no longer has: the compiler names those.
func (s *source) addModule(name string, raw []byte) error {
	module, err := ast.ParseModuleWithOpts(name, string(raw), s.parserOptions(ast.RegoV1))
	if err != nil {
		old, errOld := ast.ParseModuleWithOpts(name, string(raw), s.parserOptions(ast.RegoV0))
		if errOld != nil {
			return err
		}
		module = old
	}
	if module != nil {
		s.modules[name] = module
	}
	return nil
}

func (s *source) parserOptions(version ast.RegoVersion) ast.ParserOptions {
	return ast.ParserOptions{RegoVersion: version, Capabilities: s.capabilities, ProcessAnnotation: s.annotated}
}

// addBundle adds a bundle archive. A file that the operator lists is trusted as any other file
// is, so signatures are not looked at here. The versions in its manifest hold for its modules;
// without them all are Rego v1, or all v0.
func (s *source) addBundle(name string, raw []byte) error {
	b, err := s.readBundle(name, raw, ast.RegoV1)
	if err != nil {
		old, errOld := s.readBundle(name, raw, ast.RegoV0)
		if errOld != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		b = old
	}
	s.archives = append(s.archives, digest(raw))
	if b.Manifest.Revision != "" {
		s.revisions = append(s.revisions, b.Manifest.Revision)
	} else {
		s.loose = append(s.loose, digest(raw))
	}
	for _, file := range b.Modules {
		if file.Parsed != nil && !strings.HasSuffix(file.Path, regoTest) {
			s.modules[name+":"+file.Path] = file.Parsed
		}
	}
	return s.addData(name, b.Data)
}

func (s *source) readBundle(name string, raw []byte, version ast.RegoVersion) (bundle.Bundle, error) {
	loader := bundle.NewTarballLoaderWithBaseURL(bytes.NewReader(raw), name).
		WithSizeLimitBytes(bundle.DefaultSizeLimitBytes) // without it OPA makes room for what a header says, and panics
	return bundle.NewCustomReader(loader).
		WithSkipBundleVerification(true).
		WithProcessAnnotations(s.annotated).
		WithCapabilities(s.capabilities).
		WithRegoVersion(version).
		Read()
}

// addConfigured adds the data of the configuration.
func (s *source) addConfigured(data map[string]any) error {
	if len(data) == 0 {
		return nil
	}
	raw, err := json.Marshal(data) // the numbers of YAML and of JSON become one kind
	if err != nil {
		return err
	}
	var normal map[string]any
	if err := util.UnmarshalJSON(raw, &normal); err != nil {
		return err
	}
	s.loose = append(s.loose, digest(raw))
	return s.addData("the configuration", normal)
}

func (s *source) addData(name string, data map[string]any) error {
	if at, ok := merge(s.data, data); !ok {
		return fmt.Errorf("%s: data.%s is defined twice", name, strings.Join(at, "."))
	}
	return nil
}

// merge lays src into dst. Where both have a value and not both are objects, it tells the path.
func merge(dst, src map[string]any) (conflict []string, ok bool) {
	for _, key := range util.KeysSorted(src) {
		old, exists := dst[key]
		if !exists {
			dst[key] = src[key]
			continue
		}
		into, isObject := old.(map[string]any)
		from, fromObject := src[key].(map[string]any)
		if !isObject || !fromObject {
			return []string{key}, false
		}
		if at, ok := merge(into, from); !ok {
			return append([]string{key}, at...), false
		}
	}
	return nil, true
}

// revision names what was read: the revisions of the bundles, and a hash of what came beside them.
// It does not depend on the order of files or on where they lie.
func (s *source) revision() string {
	names := slices.Clone(s.revisions)
	if beside := slices.Concat(s.loose, s.borrowed); len(beside) > 0 {
		slices.Sort(beside)
		names = append(names, digest([]byte(strings.Join(beside, "")))[:12])
	}
	return strings.Join(names, ",")
}

func digest(parts ...[]byte) string {
	sum := sha256.Sum256(bytes.Join(parts, []byte{0}))
	return hex.EncodeToString(sum[:])
}
