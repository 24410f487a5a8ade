// Package registry holds pkg/policy against a real OCI registry, that of go-containerregistry, which
// serves bundles to OPA's plugins. It is a module of its own, so that nothing of it leaks into ours,
// and all of it is tests.
package registry
