package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A Reading is what a configuration's files say, parsed as an [Engine] parses them and not compiled.
type Reading struct {
	Modules      map[string]*ast.Module
	Entrypoints  []ast.Ref // the last is the default
	Capabilities *ast.Capabilities
	Borrowed     []string // the files of [Config.Library] among the modules
}

// Read reads the files of a configuration, for tools that look at policies without asking them.
// Entrypoints, if there are any, take the place of the configuration's, and must be rules.
func Read(config Config, entrypoints ...string) (*Reading, error) {
	if config.Entrypoint == "" {
		config.Entrypoint = defaultEntrypoint
	}
	choices, err := parseChoices(config)
	if err != nil {
		return nil, err
	}
	r := &Reading{}
	for _, c := range choices {
		r.Entrypoints = append(r.Entrypoints, c.ref)
	}
	if r.Capabilities, err = config.Capabilities.OPA(); err != nil {
		return nil, err
	}
	src := &source{modules: map[string]*ast.Module{}, data: map[string]any{}, capabilities: r.Capabilities, library: config.Library, annotated: true}
	if err := src.read(config); err != nil {
		return nil, err
	}
	if err := src.hasRego(); err != nil {
		return nil, err
	}
	if err := src.addLibrary(); err != nil {
		return nil, fmt.Errorf("policy: load the library: %w", err)
	}
	r.Modules = src.modules
	for name := range r.Modules {
		if file, ok := strings.CutPrefix(name, libraryName); ok {
			r.Borrowed = append(r.Borrowed, file)
		}
	}
	slices.Sort(r.Borrowed)
	if len(entrypoints) > 0 {
		err = r.enterAt(entrypoints)
	}
	return r, err
}

func (r *Reading) enterAt(entrypoints []string) error {
	r.Entrypoints = nil
	for _, name := range entrypoints {
		ref, err := parseEntrypoint(name)
		if err != nil {
			return err
		}
		if !r.has(ref) {
			return fmt.Errorf("policy: the entrypoint %v is no rule of the policy", ref)
		}
		r.Entrypoints = append(r.Entrypoints, ref)
	}
	return nil
}

// has tells whether a reference is a rule, or a package or document with rules.
func (r *Reading) has(ref ast.Ref) bool {
	for _, module := range r.Modules {
		for _, rule := range module.Rules {
			if rule.Ref().GroundPrefix().HasPrefix(ref) {
				return true
			}
		}
	}
	return false
}

// CheckBundle finds what would keep a bundle archive, beside the configured data, from being the
// policy at the configuration's entrypoints. An archive without Rego holds data for other policies,
// and has no entrypoint. Signatures are not looked at.
func CheckBundle(ctx context.Context, config Config, name string, raw []byte) error {
	if config.Entrypoint == "" {
		config.Entrypoint = defaultEntrypoint
	}
	choices, err := parseChoices(config)
	if err != nil {
		return err
	}
	src := &source{modules: map[string]*ast.Module{}, data: map[string]any{}}
	if src.capabilities, err = config.Capabilities.OPA(); err != nil {
		return err
	}
	if err := errors.Join(src.addBundle(name, raw), src.addConfigured(config.Data)); err != nil {
		return err
	}
	if len(src.modules) == 0 {
		choices = nil
	}
	_, missing, err := newEdition(ctx, src, choices, limits{maxSteps: defaultMaxSteps})
	return errors.Join(missing, err)
}
