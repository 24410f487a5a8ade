// Package policy is the second door: it asks Rego whether an identity may make a request.
//
//  1. New reads the sources: files (source.go), which are watched (watch.go), and the bundles that
//     OPA's own plugins fetch (controlplane.go, stored.go); without any, the shipped policies.
//     To them come the packages of the library that they import (library.go).
//  2. They become one immutable edition (reload.go, entrypoints.go), compiled and prepared before
//     it is swapped in: a snapshot (snapshot.go) for each entrypoint, with modules, data, query and
//     revision. Rules that depend on data alone are evaluated then, once (constant.go), so a policy
//     that prepares its data in rules of their own, as the shipped one does, pays for that at load
//     and not per check. A check works on one snapshot from beginning to end. What cannot become an
//     edition is refused, and the old one stays.
//  3. Decide writes the input document, as far as the policy reads it (reads.go, aliases.go), as bytes
//     (input.go, body.go, grpc.go, sheet.go, aside.go). It is the document of opa-envoy-plugin, name by name,
//     and what Sallyport adds to it. A digest of the bytes finds the decision in the memo (memo.go,
//     store.go, preserve.go), if it was made before; what follows is for those that were not.
//  4. The document is read from its bytes (reader.go). The query is evaluated, with builtin errors
//     strict, the caller's deadline, a bound on its steps, and the builtins that are allowed
//     (evaluate.go, limits.go, capabilities.go); what goes wrong is an [authz.Error] that names the
//     rule and the place (failure.go).
//  5. The answer is read strictly (answer.go): a boolean, or an object of known keys and types.
//     Everything else denies.
//
// Beside the journey, for authors and operators: Explain tells which rules made a decision
// (explain.go), Test runs Rego tests (regotest.go), and a Coverage notes which lines both and checks
// reach (coverage.go). They look on through one observer (observer.go), which a server does not have.
//
// # Asking for more
//
// A denial can say what would help, beside the keys of opa-envoy-plugin. "scopes" lists the scopes
// that the token lacks: the caller gets a 403 with insufficient_scope (RFC 6750, section 3.1).
// "acr_values" and "max_age" (seconds) ask for a stronger or fresher authentication: a 401 with
// insufficient_user_authentication (RFC 9470). Without a valid token the challenge is the plain one.
// The policy's own http_status, and its own www-authenticate among headers, come first.
//
// # Files and bundles together
//
// The files, the bundles and the configured data are one policy. Rules of one may use those of
// another, but a package comes either from files or from bundles, and a value in data from one
// place; a source that breaks this is refused. What the files alone lack, such as the entrypoint,
// a bundle may bring. There is no policy before every bundle is there: until then Decide fails
// with [authz.NotReady], and Ready says what is missing.
//
// A bundle without an entrypoint that is asked is not refused: its owner may drop a rule, and its
// checks are denied. For files at the start, and when they are read again, that is an error.
//
// # What OPA's configuration means here
//
// Sections and options are OPA's. An option that OPA does not know is an error, and so is storage, or
// a plugin that is not here. decision_logs sends records to a service ([Engine.DecisionLogs]). Where keys can verify signatures, a bundle
// without "signing" must be signed too; "signing: null" takes that back. Delta bundles cannot be
// signed, so they do not go with signing. A Rego v0 bundle says "rego_version": 0 in its
// manifest. Inter-query caches without a limit have one of 64 MiB and of 10,000 entries. Relative
// paths are taken from the working directory, as OPA takes them.
//
// # What cannot be bounded
//
// OPA counts no instructions; its evaluator asks before every expression whether to stop, and
// these questions are what [Config.MaxSteps] counts. Most builtins do not ask, so that one call on
// large operands ends when it ends; the deadline is looked at again after it. There is no bound on
// memory or on depth, but the compiler refuses recursion and the input is bounded.
//
// # The decision memo
//
// A check that is the same as one before in all that the policy looks at gets the decision of that
// one, for 1 to 2 µs instead of 5 to 400. Why that decision is the policy's:
//
//   - The document that is evaluated is read from the very bytes whose SHA-256 is the key. So checks
//     with one key have one document, whether or not it was rightly found what the policy reads. No
//     value is in the document that is not in the key: claims that are read whole are there by the
//     SHA-256 of their bytes, and a check with a body whose content is read has no key.
//   - Modules, data and entrypoint are those of one snapshot, and so is the memo. New policy or data
//     is a new snapshot and has a new memo.
//   - Nothing else goes into an evaluation. A builtin that asks the clock, a random source, the
//     network or the machine turns the memo off where a rule that the entrypoint can reach names it,
//     even under "with"; a list of those that do not is held by a test.
//   - Errors, and that a rule is undefined, are never kept.
//
// It does not outlive a token: the first door verifies every token on every check, so a check with
// a token that has ended does not come this far, and a key has only what policies see of tokens.
//
// All that is left to be wrong is the reading of the rules, which can only take from the document. It
// errs on the side of more: a reference with a computed key reads all that the key could lead to,
// and input as an operand reads all. Tests compare decisions on what is read with those on all of it.
// And one hit in a thousand is evaluated again: a difference is logged and counted, and turns the
// memo off until the next policy.
//
// A decision is kept when its document comes the second time. There is no memo where documents
// cannot come twice, since all of input is read, or the time or id of the request. It is bounded by
// [Config.MemoBytes]; [Engine.Stats] says how it does.
//
// Partial evaluation of the entrypoint at load was measured and is not used: the shipped policy took
// five times as long after it, and with ten routes it failed.
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
	"fmt"
	"io"
	"io/fs"
	"log/slog"
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
	// is merged under data.users. Names that begin with ".", Rego tests (_test.rego), request cases
	// (.cases.yaml, .cases.yml, .cases.json) and invariants (.invariants.yaml, …) are left out.
	Files []string

	// Modules are Rego texts beside Files, by the name that errors give for their file.
	Modules map[string]string

	// Default holds the policies that are used without Files.
	Default fs.FS

	// Library holds packages for policies to import, in folders of the same path: the package
	// data.a.b in a/b. Those that the policy refers to are added to it, from wherever it came, and
	// those that they refer to. A package that the policy has itself, in rules or as data, stays its
	// own. nil: there is none.
	Library fs.FS

	// Data is merged under data. What the files define too is an error.
	Data map[string]any

	// OutputHeaders are request headers that the policy sets under names it computes at run
	// time. See "Headers that a client cannot bring" in the package documentation.
	OutputHeaders []string

	// Entrypoints are rules that are asked instead of Entrypoint about some of the checks; the
	// first that matches is asked.
	Entrypoints []Entrypoint

	// Capabilities say what the policy may use; the zero value allows nothing of the network.
	Capabilities Capabilities

	// MaxSteps is the most expressions that one evaluation may look at, about a million a second; 0
	// means 1,000,000. Long texts that it builds count too.
	MaxSteps int64

	// MemoBytes is the most memory that the decision memo takes; 0 means 32 MiB, less than 0 that
	// there is none.
	MemoBytes int
	// ProtoDescriptor is a file with a FileDescriptorSet. Messages of the gRPC methods in it are
	// parsed; those of others are null.
	ProtoDescriptor string

	// MaxBodyBytes is the longest gRPC message that is read where it was compressed; 0 means 1 MiB.
	// Any other body is as long as it came.
	MaxBodyBytes int64

	// SkipRequestBodyParse leaves parsed_body and truncated_body out of the input, and every body
	// unread: one that is malformed is then no reason to deny.
	SkipRequestBodyParse bool

	// OPA is OPA's own configuration: services, bundles, keys, discovery, status, decision_logs, labels,
	// caching, persistence_directory. "${NAME}" in a text is the environment variable NAME. With bundles or
	// discovery, Default is not used.
	OPA map[string]any

	// Print receives what print() in the policy says, a line each; nil: print() says nothing. It is
	// for development: what is printed may hold credentials. Checks that run together write together.
	Print io.Writer

	// Coverage notes which lines are evaluated; nil: nothing does. It slows every check down.
	Coverage *Coverage

	// Recording gives decisions their [authz.Basis]; nil means that nobody records it.
	Recording *Recording

	// Offline is for a [Replay]: nothing that the policy calls reaches the network, whatever Capabilities
	// allow, and a missing entrypoint is no error.
	Offline bool

	// Logger receives what an operator should know; nil means nothing does.
	Logger *slog.Logger

	// Now is the time that the policy sees; nil means time.Now.
	Now func() time.Time
}

// refuse makes the error of a denial. The text must not hold anything that a request brought.
func refuse(reason authz.Reason, format string, args ...any) error {
	return &authz.Error{Reason: reason, Err: fmt.Errorf("policy: "+format, args...)}
}
