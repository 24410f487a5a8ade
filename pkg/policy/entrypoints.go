package policy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"

	"github.com/sallyport/sallyport/pkg/authz"
)

// An Entrypoint is a rule that is asked about some of the checks: those for which all its
// conditions hold. It has at least one.
type Entrypoint struct {
	// Host is the host that the request asks for, without a port; letters of either case are the
	// same. "*.example.com" stands for every name below example.com, and not for itself.
	//
	// The host is the client's word, and Envoy routes by it. Where clients can reach one upstream
	// under two hosts, choose by ContextExtensions, which are the operator's.
	Host string

	// ContextExtensions are entries of context_extensions, which Envoy sets for each route or
	// virtual host. The check has all of them.
	ContextExtensions map[string]string

	// Network means the checks without HTTP, those of Envoy's network filter.
	Network bool

	// Path is the rule, as in [Config.Entrypoint]; required.
	Path string

	// OutputHeaders are those of [Config.OutputHeaders], for this rule alone.
	OutputHeaders []string
}

// A ConfigError is a mistake in the configuration.
type ConfigError struct {
	Path string // of the setting under policy in the configuration file, such as entrypoints[0].path
	Err  error
}

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// mistake makes a ConfigError.
func mistake(path, format string, args ...any) error {
	return &ConfigError{Path: path, Err: fmt.Errorf("policy: "+format, args...)}
}

// A choice is an Entrypoint, parsed. One without conditions is for every check.
type choice struct {
	Entrypoint
	setting string // where the path stands in the configuration
	ref     ast.Ref
}

// parseChoices parses the entrypoints of the configuration. The last choice is its default.
func parseChoices(config Config) ([]choice, error) {
	last := Entrypoint{Path: config.Entrypoint, OutputHeaders: config.OutputHeaders}
	choices := make([]choice, 0, len(config.Entrypoints)+1)
	for i, e := range config.Entrypoints {
		setting := fmt.Sprintf("entrypoints[%d]", i)
		if e.Host == "" && len(e.ContextExtensions) == 0 && !e.Network {
			return nil, mistake(setting, "the entrypoint %q has no condition", e.Path)
		}
		e.Host = plainHost(e.Host)
		choices = append(choices, choice{Entrypoint: e, setting: setting + ".path"})
	}
	choices = append(choices, choice{Entrypoint: last, setting: "path"})
	for i, c := range choices {
		ref, err := parseEntrypoint(c.Path)
		if err != nil {
			return nil, &ConfigError{Path: c.setting, Err: err}
		}
		choices[i].ref = ref
	}
	return choices, nil
}

func (c *choice) matches(req *authz.Request) bool {
	if c.Network && req.HTTP != nil {
		return false
	}
	if c.Host != "" && (req.HTTP == nil || !coversHost(c.Host, plainHost(req.HTTP.Host))) {
		return false
	}
	for name, want := range c.ContextExtensions {
		if got, ok := req.ContextExtensions[name]; !ok || got != want {
			return false
		}
	}
	return true
}

func coversHost(pattern, host string) bool {
	if parent, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(host, parent) && len(host) > len(parent)
	}
	return host == pattern
}

// plainHost is a host without what does not tell it from others: a port, the root's dot, the case
// of letters (RFC 9110, section 4.2.3; RFC 1034, section 3.1).
func plainHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// An edition is one policy with its data, and a snapshot of it for every choice of the
// configuration. It is swapped as a whole and never changes.
type edition struct {
	revision  string
	modules   int
	base      *snapshot // compiled modules and data, without an entrypoint
	choices   []choice
	snapshots []*snapshot   // by choice; nil where the policy has no such rule
	archive   *archive      // of their memos
	lent      *ast.Compiler // the same modules compiled again, for OPA's plugins; nil where none logs decisions
}

// newEdition compiles a source and prepares its entrypoints. Missing are the choices whose rule
// the policy does not have.
func newEdition(ctx context.Context, src *source, choices []choice, l limits) (made *edition, missing error, err error) {
	if err := src.addLibrary(); err != nil {
		return nil, nil, fmt.Errorf("policy: load the library: %w", err)
	}
	base := &snapshot{revision: src.revision(), limits: l, bodies: src.bodies}
	if err := base.open(ctx, src.data); err != nil {
		return nil, nil, err
	}
	if err := base.compile(ctx, src.modules, src.capabilities); err != nil {
		return nil, nil, err
	}
	made = &edition{
		revision: base.revision, modules: len(base.compiler.Modules), base: base,
		choices: choices, snapshots: make([]*snapshot, len(choices)), archive: l.newArchive(),
	}
	if made.lent, err = base.lend(ctx, src); err != nil {
		return nil, nil, err
	}
	var absent []error
	for i, c := range choices {
		if !base.exists(ctx, c.ref) {
			absent = append(absent, mistake(c.setting, "the entrypoint %v is no rule of the policy", c.ref))
			continue
		}
		if made.snapshots[i], err = base.at(ctx, c); err != nil {
			return nil, nil, err
		}
		made.snapshots[i].memo = made.archive.newMemo(c.ref.String(), &made.snapshots[i].reads)
	}
	return made, errors.Join(absent...), nil
}

// at is the same policy asked at another entrypoint.
func (s *snapshot) at(ctx context.Context, c choice) (*snapshot, error) {
	view := *s
	view.entrypoint, view.name = c.ref, c.ref.String()
	var err error
	if view.query, err = view.newQuery(c.ref); err != nil {
		return nil, err
	}
	view.computeConstants(ctx)
	view.reads = view.findReads()
	view.names = newVocabulary(&view.reads.input)
	if view.mask, err = view.prepareMask(); err != nil {
		return nil, err
	}
	view.strip, err = view.outputHeaders(c.OutputHeaders)
	return &view, err
}

// exists tells whether the entrypoint is a rule, a package or a document.
func (s *snapshot) exists(ctx context.Context, entrypoint ast.Ref) bool {
	if len(s.compiler.GetRules(entrypoint)) > 0 {
		return true
	}
	at, err := storage.NewPathForRef(entrypoint)
	if err != nil {
		return false
	}
	_, err = s.store.Read(ctx, s.txn, at)
	return err == nil
}

// choose finds the snapshot to ask. A rule that an update has dropped is a denial: another one in
// its place would answer a question it was not asked.
func (e *edition) choose(req *authz.Request) (*snapshot, error) {
	for i := range e.choices {
		if !e.choices[i].matches(req) {
			continue
		}
		if e.snapshots[i] == nil {
			return nil, refuse(authz.PolicyUndefined, "evaluate: %v is no rule of the policy", e.choices[i].ref)
		}
		return e.snapshots[i], nil
	}
	return nil, refuse(authz.Internal, "evaluate: no entrypoint is for this check") // the last is for every check
}
