// Package pack makes a bundle archive of policies, as opa build does, for the engine of pkg/policy.
//
//  1. The paths are read by OPA's loader (load.go), as Rego v1 or else as v0. Tests, request cases
//     and hidden files stay behind. What they use of the library comes with them (library.go), so
//     that the bundle means the same to every version of Sallyport, and to OPA.
//  2. OPA's compiler checks and optimizes, with the builtins that the engine allows. The modules are
//     named from where their path begins, wherever that lies (names.go), and signed.
//  3. The archive is read back as the engine reads it: what the engine would refuse is refused here.
//  4. The file appears whole under its name, or not at all (file.go).
//
// The same input makes the same bytes, but for signatures whose algorithm draws a random number:
// ES256 and its kin, PS256 and its kin. RS256 and HS256 and theirs draw none.
package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/compile"

	"github.com/sallyport/sallyport/pkg/policy"
)

// A Config says what goes into a bundle.
type Config struct {
	// Paths are directories and files with Rego and data.
	Paths []string

	// Bundles means that Paths are bundles, as archives or directories, with a manifest each.
	Bundles bool

	// Revision is the bundle's revision; "" keeps that of a manifest.
	Revision string

	// Entrypoints are rules, as a/b/allow, that must be there and that optimization keeps. Without
	// any, Policy says which rules must be there.
	Entrypoints []string

	// Optimize is OPA's level of optimization, 0 to 2. It needs an entrypoint.
	Optimize int

	// Ignore are patterns of names that are left out.
	Ignore []string

	// Signing signs the bundle; nil does not.
	Signing *Signing

	// Verification verifies bundles among Paths; nil does not.
	Verification *Verification

	// Policy is the configuration that the bundle is for. Its capabilities, data and entrypoints
	// hold; its files do not matter.
	Policy policy.Config

	borrowed string // directory with the packages of Policy.Library that Paths use; "": none
}

// Build makes the bundle and writes it to the file out, which is replaced at once or stays as it was.
func Build(ctx context.Context, config Config, out string) error {
	capabilities, err := config.Policy.Capabilities.OPA()
	if err != nil {
		return err
	}
	signing, err := config.Signing.config()
	if err != nil {
		return err
	}
	if err := config.borrow(); err != nil {
		return err
	}
	defer os.RemoveAll(config.borrowed)
	raw, err := config.compile(ctx, capabilities, signing)
	if err != nil {
		return err
	}
	if err := config.check(ctx, out, raw); err != nil {
		return err
	}
	return write(out, raw)
}

// compile reads the paths as Rego v1 and, where that fails, as v0: a bundle has one version.
func (c *Config) compile(ctx context.Context, capabilities *ast.Capabilities, signing *bundle.SigningConfig) ([]byte, error) {
	raw, err := c.compileAs(ctx, ast.RegoV1, capabilities, signing)
	if err == nil {
		return raw, nil
	}
	if old, errOld := c.compileAs(ctx, ast.RegoV0, capabilities, signing); errOld == nil {
		return old, nil
	}
	return nil, explain(err)
}

func (c *Config) compileAs(ctx context.Context, version ast.RegoVersion, capabilities *ast.Capabilities, signing *bundle.SigningConfig) ([]byte, error) {
	verification, err := c.Verification.config()
	if err != nil {
		return nil, err
	}
	compiler := compile.New().
		WithRegoVersion(version).
		WithCapabilities(capabilities).
		WithPaths(c.paths()...).
		WithAsBundle(c.Bundles).
		WithFilter(c.leavesOut).
		WithEntrypoints(c.Entrypoints...).
		WithRegoAnnotationEntrypoints(true).
		WithOptimizationLevel(c.Optimize).
		WithPartialNamespace("partial").
		WithBundleVerificationConfig(verification)
	if c.Revision != "" {
		compiler = compiler.WithRevision(c.Revision)
	}
	if err := compiler.Build(ctx); err != nil {
		return nil, err
	}
	made := compiler.Bundle()
	c.rename(made)
	if err := c.sign(made, signing); err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	err = bundle.Write(&raw, *made)
	return raw.Bytes(), err
}

// sign signs what was made, and takes away the signature of what it was made of.
func (c *Config) sign(made *bundle.Bundle, signing *bundle.SigningConfig) error {
	made.Signatures = bundle.SignaturesConfig{}
	if signing == nil {
		return nil
	}
	keyID := c.Signing.KeyID
	if signing.ClaimsPath != "" {
		keyID = "" // the claims say it
	}
	return made.GenerateSignature(signing, keyID, false)
}

// explain names the way out of what OPA's compiler refuses.
func explain(err error) error {
	if errs, ok := errors.AsType[ast.Errors](err); ok {
		return policy.CompileError(errs)
	}
	return fmt.Errorf("policy: build: %w", err)
}

// check reads the archive as the engine would.
func (c *Config) check(ctx context.Context, name string, raw []byte) error {
	wanted := []policy.Config{c.Policy}
	if len(c.Entrypoints) > 0 {
		wanted = nil
	}
	for _, entrypoint := range c.Entrypoints {
		one := c.Policy
		one.Entrypoint, one.Entrypoints = strings.TrimPrefix(entrypoint, "/"), nil
		wanted = append(wanted, one)
	}
	for _, config := range wanted {
		if err := policy.CheckBundle(ctx, config, name, raw); err != nil {
			return err
		}
	}
	return nil
}
