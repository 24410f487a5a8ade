// Package policy is the second door: it asks Rego whether an identity may make a request.
//
//  1. New reads the sources (source.go): Rego, data files, bundle archives, the data of the
//     configuration; without any, the shipped policies.
//  2. They become one immutable snapshot (snapshot.go): compiled modules, data, the query of the
//     entrypoint, a revision. A check works on one snapshot from beginning to end. Rules that
//     depend on data alone are evaluated now, once (constant.go), so a policy that prepares its
//     data in rules of their own, as the shipped one does, pays for that at load and not per check.
//  3. Decide makes the input document (input.go, body.go). It is the document of
//     opa-envoy-plugin, name by name, and what Sallyport adds to it.
//  4. The query is evaluated, with builtin errors strict and the caller's deadline; what goes
//     wrong is an [authz.Error] that names the rule and the place (failure.go).
//  5. The answer is read strictly (answer.go): a boolean, or an object of known keys and types.
//     Everything else denies.
//
// # Asking for more
//
// A denial can say what would help, beside the keys of opa-envoy-plugin. "scopes" lists the scopes
// that the token lacks: the caller gets a 403 with insufficient_scope (RFC 6750, section 3.1).
// "acr_values" and "max_age" (seconds) ask for a stronger or fresher authentication: a 401 with
// insufficient_user_authentication (RFC 9470). Without a valid token the challenge is the plain one.
// The policy's own http_status, and its own www-authenticate among headers, come first.
//
// # Headers that a client cannot bring
//
// An allow removes from the request every header that the policy can set and did not set this
// time, so that a client cannot bring its own. Which headers those are is found once, when the
// policy is loaded (strip.go): the constant names in objects under a key or rule named "headers"
// that the entrypoint can reach, and the names in rules, functions and data that flow into them.
//
// Three limits of that. A name that the policy computes at run time is not found: list it in
// [Config.OutputHeaders]. An object literal that also says "allowed": false is a denial and is
// not read; a denial built in another way has its names taken for those of an allow. Names that
// describe the message itself, such as content-type or cache-control, are therefore never
// removed this way: they carry no identity, and requests need them.
package policy

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A Config says where the policy is and which of its rules is asked.
type Config struct {
	// Entrypoint is the rule that is asked, as a path under data; "" means "envoy/authz/allow".
	// A dot inside a segment is part of its name.
	Entrypoint string

	// Files are .rego files, .json, .yaml and .yml data, directories of them, and bundle
	// archives (.tar.gz). Empty means Default.
	//
	// A data file in a directory is rooted by its directory, as opa does it: users/roles.json
	// is merged under data.users. Names that begin with "." and Rego tests (_test.rego) are
	// left out.
	Files []string

	// Default holds the policies that are used without Files.
	Default fs.FS

	// Data is merged under data. What the files define too is an error.
	Data map[string]any

	// OutputHeaders are request headers that the policy sets under names it computes at run
	// time. See "Headers that a client cannot bring" in the package documentation.
	OutputHeaders []string

	// Logger receives what an operator should know; nil means nothing does.
	Logger *slog.Logger

	// Now is the time that the policy sees; nil means time.Now.
	Now func() time.Time
}

// An Engine decides by the policy of its current snapshot. It is an [authz.Decider].
type Engine struct {
	config  Config
	current atomic.Pointer[snapshot]
}

// New loads and compiles the policy. Its errors name file and line.
func New(ctx context.Context, config Config) (*Engine, error) {
	if config.Entrypoint == "" {
		config.Entrypoint = "envoy/authz/allow"
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	e := &Engine{config: config}
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// load makes a new snapshot and swaps it in. Where that fails, the old one stays.
func (e *Engine) load(ctx context.Context) error {
	s, err := newSnapshot(ctx, e.config)
	if err != nil {
		return err
	}
	e.current.Store(s)
	if s.constants.timedOut {
		e.config.Logger.WarnContext(ctx, "rules that depend on data alone take long, and are evaluated by each check", "limit", constantBudget)
	}
	e.config.Logger.InfoContext(ctx, "policy loaded", "revision", s.revision, "modules", len(s.compiler.Modules))
	return nil
}

// Revision names the policy that decides now: the revision of its bundles, or a hash of its
// sources and data.
func (e *Engine) Revision() string {
	return e.current.Load().revision
}

// Decide asks the policy. The Decision returned beside an error carries the revision alone.
func (e *Engine) Decide(ctx context.Context, req *authz.Request, id authz.Identity) (authz.Decision, error) {
	s := e.current.Load()
	decision, err := s.decide(ctx, e.config.Now(), req, id)
	if err != nil {
		return authz.Decision{Revision: s.revision}, err
	}
	decision.Revision = s.revision
	return decision, nil
}

// refuse makes the error of a denial. The text must not hold anything that a request brought.
func refuse(reason authz.Reason, format string, args ...any) error {
	return &authz.Error{Reason: reason, Err: fmt.Errorf("policy: "+format, args...)}
}
