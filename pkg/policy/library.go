package policy

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// libraryName stands before the names of the library's files: no file of the policy's is called so.
const libraryName = "<library>/"

// addLibrary adds the packages of the library that the policy refers to, and those that they refer to.
// It comes last, when all that the policy has itself is known. Nothing is parsed that is not needed.
func (s *source) addLibrary() error {
	if s.library == nil {
		return nil
	}
	free, err := s.unowned()
	if err != nil {
		return err
	}
	for queue := slices.Collect(maps.Values(s.modules)); len(queue) > 0; queue = queue[1:] {
		for _, dir := range wanted(queue[0], free) {
			delete(free, dir)
			added, err := s.borrow(dir)
			if err != nil {
				return err
			}
			queue = append(queue, added...)
		}
	}
	return nil
}

// unowned lists the folders of the library and the package of each, but for packages that the policy
// has itself: then they are another thing than the library's, which must not be mixed into them.
func (s *source) unowned() (map[string]ast.Ref, error) {
	free := map[string]ast.Ref{}
	err := fs.WalkDir(s.library, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !isLibraryFile(entry) {
			return err
		}
		dir := path.Dir(name)
		pkg := ast.Ref{ast.DefaultRootDocument}
		for segment := range strings.SplitSeq(dir, "/") {
			pkg = append(pkg, ast.StringTerm(segment))
		}
		if free[dir] == nil && !s.owns(pkg) && !s.hasData(dir) {
			free[dir] = pkg
		}
		return nil
	})
	return free, err
}

func isLibraryFile(entry fs.DirEntry) bool {
	name := entry.Name()
	return !entry.IsDir() && path.Ext(name) == ".rego" && !strings.HasSuffix(name, "_test.rego")
}

// owns tells whether the policy has rules in a package, or a rule in its place.
func (s *source) owns(pkg ast.Ref) bool {
	for _, module := range s.modules {
		if module.Package.Path.HasPrefix(pkg) {
			return true
		}
		for _, rule := range module.Rules {
			if overlap(rule.Ref().StringPrefix(), pkg) {
				return true
			}
		}
	}
	return false
}

// hasData tells whether the policy has data at a path, or a value on the way to it.
func (s *source) hasData(dir string) bool {
	var at any = s.data
	for segment := range strings.SplitSeq(dir, "/") {
		object, ok := at.(map[string]any)
		if !ok {
			return true
		}
		if at, ok = object[segment]; !ok {
			return false
		}
	}
	return true
}

// overlap tells whether one place is the other or lies in it.
func overlap(a, b ast.Ref) bool { return a.HasPrefix(b) || b.HasPrefix(a) }

// wanted lists the folders of the packages that a module refers to. Of a name that is computed, as in
// data.sallyport[x], it is known what stands before it.
func wanted(module *ast.Module, free map[string]ast.Ref) (dirs []string) {
	refer := func(ref ast.Ref) bool {
		prefix := ref.StringPrefix()
		if len(prefix) < 2 || !prefix[0].Equal(ast.DefaultRootDocument) {
			return false
		}
		for dir, pkg := range free {
			if overlap(prefix, pkg) && !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
		return false
	}
	for _, i := range module.Imports {
		ast.WalkRefs(i, refer)
	}
	for _, rule := range module.Rules {
		ast.WalkRefs(rule, refer)
	}
	return dirs
}

// borrow adds the package in a folder of the library.
func (s *source) borrow(dir string) ([]*ast.Module, error) {
	entries, err := fs.ReadDir(s.library, dir)
	if err != nil {
		return nil, err
	}
	var added []*ast.Module
	for _, entry := range entries {
		if !isLibraryFile(entry) {
			continue
		}
		name := path.Join(dir, entry.Name())
		raw, err := fs.ReadFile(s.library, name)
		if err != nil {
			return nil, err
		}
		if err := s.addModule(libraryName+name, raw); err != nil {
			return nil, err
		}
		s.borrowed = append(s.borrowed, digest(raw))
		if module := s.modules[libraryName+name]; module != nil { // nil: nothing but comments
			added = append(added, module)
		}
	}
	return added, nil
}
