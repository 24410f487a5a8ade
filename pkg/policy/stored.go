package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/util"
)

// addStore adds what OPA's plugins have written to their store. A package comes from files or from
// bundles, never from both: neither owner could tell what it decides. It comes last, because the
// values stay the store's and must not be merged into.
func (s *source) addStore(ctx context.Context, store storage.Store, txn storage.Transaction) error {
	value, err := store.Read(ctx, txn, storage.RootPath)
	if err != nil {
		return err
	}
	data, ok := value.(map[string]any)
	if !ok {
		return errors.New("the data is no object")
	}
	raw, err := s.addStoredModules(ctx, store, txn, data)
	if err != nil {
		return err
	}
	named, err := s.addRevisions(ctx, store, txn)
	if err != nil {
		return err
	}
	if !named {
		all, err := json.Marshal(data)
		if err != nil {
			return err
		}
		s.loose = append(s.loose, digest(append(raw, all)...))
	}
	return s.addData("a bundle", data)
}

// addStoredModules returns the text of the modules too.
func (s *source) addStoredModules(ctx context.Context, store storage.Store, txn storage.Transaction, data map[string]any) ([][]byte, error) {
	ours := map[string]string{} // packages, and the file of each
	for name, module := range s.modules {
		ours[module.Package.Path.String()] = name
	}
	names, err := store.ListPolicies(ctx, txn)
	if err != nil {
		return nil, err
	}
	var texts [][]byte
	for _, name := range util.Sorted(names) {
		raw, err := store.GetPolicy(ctx, txn, name)
		if err != nil {
			return nil, err
		}
		texts = append(texts, raw)
		module, err := ast.ParseModuleWithOpts(name, string(raw), s.parserOptions(storedVersion(data, name)))
		if err != nil {
			return nil, err
		}
		if strings.HasSuffix(name, regoTest) {
			continue
		}
		if file, ok := ours[module.Package.Path.String()]; ok {
			return nil, fmt.Errorf("%s: package %v is in the file %s too", name, module.Package.Path, file)
		}
		s.modules[name] = module
	}
	return texts, nil
}

// storedVersion is the version of Rego that the bundle plugin noted for a module, else v1.
func storedVersion(data map[string]any, module string) ast.RegoVersion {
	var at any = data
	for _, key := range append(bundle.ModulesInfoBasePath, strings.Trim(module, "/"), "rego_version") {
		members, ok := at.(map[string]any)
		if !ok {
			return ast.RegoV1
		}
		at = members[key]
	}
	if at == json.Number("0") {
		return ast.RegoV0
	}
	return ast.RegoV1
}

// addRevisions takes the revision of each bundle, or its ETag, and tells whether each has one.
func (s *source) addRevisions(ctx context.Context, store storage.Store, txn storage.Transaction) (all bool, err error) {
	names, err := bundle.ReadBundleNamesFromStore(ctx, store, txn)
	if err != nil && !storage.IsNotFound(err) {
		return false, err
	}
	all = len(names) > 0
	for _, name := range util.Sorted(names) {
		revision, err := readRevision(ctx, store, txn, name)
		if err != nil && !storage.IsNotFound(err) {
			return false, err
		}
		if revision == "" {
			all = false
			continue
		}
		s.revisions = append(s.revisions, revision)
	}
	return all, nil
}

// readRevision is the revision of a bundle, or its ETag.
func readRevision(ctx context.Context, store storage.Store, txn storage.Transaction, name string) (string, error) {
	revision, err := bundle.ReadBundleRevisionFromStore(ctx, store, txn, name)
	if revision == "" {
		revision, err = bundle.ReadBundleEtagFromStore(ctx, store, txn, name)
		revision = strings.Trim(revision, `"`)
	}
	return revision, err
}
