package policy

import (
	"context"
	"errors"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A Program is a policy with its data, compiled as an [Engine] compiles it, for tools that reason about
// what it decides. Bundles that come from a server are not in it.
type Program struct {
	Compiler    *ast.Compiler
	Data        ast.Object
	Entrypoints []ast.Ref // the last is the default
}

// Compile reads and compiles what a configuration names: files, bundle archives, data and modules.
func Compile(ctx context.Context, config Config) (*Program, error) {
	if config.Entrypoint == "" {
		config.Entrypoint = defaultEntrypoint
	}
	choices, err := parseChoices(config)
	if err != nil {
		return nil, err
	}
	if hasBundles(config.OPA) {
		return nil, errors.New("policy: compile: the policy comes from a server of bundles; name the bundle's archive instead")
	}
	capabilities, err := config.Capabilities.OPA()
	if err != nil {
		return nil, err
	}
	src, err := readSource(config, capabilities)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(src.hasRego(), src.addLibrary()); err != nil {
		return nil, fmt.Errorf("policy: load: %w", err)
	}
	base := &snapshot{}
	if err := base.open(ctx, src.data); err != nil {
		return nil, err
	}
	if err := base.compile(ctx, src.modules, capabilities); err != nil {
		return nil, err
	}
	out := &Program{Compiler: base.compiler, Data: base.data}
	for _, c := range choices {
		if !base.exists(ctx, c.ref) {
			return nil, mistake(c.setting, "the entrypoint %v is no rule of the policy", c.ref)
		}
		out.Entrypoints = append(out.Entrypoints, c.ref)
	}
	return out, nil
}

// IsNondeterministic tells whether a builtin may answer otherwise another time.
func IsNondeterministic(builtin string) bool { return isNondeterministic(builtin) }
