package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/token"
	"github.com/sallyport/sallyport/policies"
)

// evalFlags are those of the command eval.
type evalFlags struct {
	config, path, request, curl, now, format string
	data, claims, tokens                     []string
	fail                                     bool
}

func newEval() *cobra.Command {
	var flags evalFlags
	cmd := &cobra.Command{
		Use:   "eval (--request FILE | --curl LINE)",
		Short: "Ask a policy one question, and see which rules answered",
		Long: `Ask a policy about one request, and print the answer with the rules that were tried: those that fired,
and of the others the first expression that did not hold, each with its file and line.

The request is a file with the fields of a request case (policies/TESTING.md), or a curl line, of which
nothing is sent. The policy is that of --config, or what --data names; without either, the shipped one.

The tokens are stated with --claims, and believed; or they are on the request, or given with --token,
and verified by the rules of --config, as serve does. Shells keep a history of command lines, so give a
curl line that holds a token as a file: --curl @FILE.

Rules that depend on data alone are computed when a policy is loaded, and shown as "constant". What
print() in the policy says is shown too.

The exit status is 0, whatever the answer; with --fail it is 2 for a denial, and 1 for an error.`,
		Example: `  sallyport eval --config sallyport.yaml --curl 'curl https://shop.example.com/orders/7' --claims users=@ann.json
  sallyport eval --data policies/ --request request.yaml --claims 'users={"sub": "ann", "roles": ["clerk"]}'
  sallyport eval --config sallyport.yaml --request request.yaml --token users=@ann.token --format json --fail`,
		Args: usage(noArgument),
		RunE: func(cmd *cobra.Command, _ []string) error { return evalOnce(cmd, flags) },
	}
	addConfigFlag(cmd, &flags.config)
	f := cmd.Flags()
	f.StringArrayVarP(&flags.data, "data", "d", nil, "a `DIR` or file of the policy, in place of --config; may be repeated")
	f.StringVar(&flags.path, "path", "", "the entrypoint to ask, `a/b/allow` for data.a.b.allow (default envoy/authz/allow, or policy.path)")
	f.StringVar(&flags.request, "request", "", "the `FILE` with the request; - is standard input")
	f.StringVar(&flags.curl, "curl", "", "the request as a curl `LINE`, or @FILE with one; @- is standard input")
	f.StringArrayVar(&flags.claims, "claims", nil, "the claims of the token in a slot, `SLOT=JSON` or SLOT=@FILE; may be repeated")
	f.StringArrayVar(&flags.tokens, "token", nil, "the token to put into the place of a slot, `SLOT=@FILE`; may be repeated")
	f.StringVar(&flags.now, "now", "", "the `TIME` that the policy sees, such as 2026-11-24T09:00:00Z")
	f.StringVarP(&flags.format, "format", "f", "pretty", "pretty or json")
	f.BoolVar(&flags.fail, "fail", false, "exit with status 2 for a denial")
	completeWords(cmd, "format", "pretty", "json")
	return cmd
}

// noArgument does not repeat one: it may be a credential.
func noArgument(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("no argument is taken; --data names a policy")
	}
	return nil
}

// A question is what eval asks, ready to be asked.
type question struct {
	policy  policy.Config
	cfg     *config.Config // nil without --config
	request *authz.Request
	claims  map[string]authz.Token // nil: the tokens are verified
	printed prints
}

// A reply is what came back.
type reply struct {
	record  authz.Record
	why     policy.Explanation
	printed string
}

func evalOnce(cmd *cobra.Command, flags evalFlags) error {
	if err := flags.check(); err != nil {
		return err
	}
	q, err := flags.question(cmd)
	if err != nil {
		return err
	}
	a, err := q.ask(cmd.Context())
	if err != nil {
		return err
	}
	if flags.format == "json" {
		err = a.writeJSON(cmd.OutOrStdout())
	} else {
		a.print(cmd.OutOrStdout())
	}
	if err == nil && flags.fail && !a.record.Decision.Allowed {
		return statusError{status: exitTestFailed}
	}
	return err
}

func (f *evalFlags) check() error {
	switch {
	case (f.request == "") == (f.curl == ""):
		return usageError{errors.New("one of --request and --curl is needed")}
	case f.config != "" && len(f.data) > 0:
		return usageError{errors.New("--data is in place of --config; give one of them")}
	case len(f.claims) > 0 && len(f.tokens) > 0:
		return usageError{errors.New("--claims are believed and a --token is verified; give one of them")}
	case len(f.tokens) > 0 && f.config == "":
		return usageError{errors.New("--token needs --config: it says which issuers are believed")}
	case f.format != "pretty" && f.format != "json":
		return usageError{fmt.Errorf("--format: %q is not pretty or json", f.format)}
	}
	return nil
}

func (f *evalFlags) question(cmd *cobra.Command) (*question, error) {
	q := &question{policy: policy.Config{Files: f.data, Default: policies.FS, Library: policies.Library}}
	var err error
	if f.config != "" {
		if q.cfg, err = config.Load(f.config); err != nil {
			return nil, err
		}
		q.policy = policyConfig(q.cfg, slog.New(slog.DiscardHandler))
	}
	if f.path != "" {
		q.policy.Entrypoint, q.policy.Entrypoints = f.path, nil
	}
	q.policy.Print = &q.printed
	if f.now != "" {
		at, err := time.Parse(time.RFC3339, f.now)
		if err != nil {
			return nil, usageError{errors.New("--now: must be a time such as 2026-11-24T09:00:00Z")}
		}
		q.policy.Now = func() time.Time { return at }
	}
	if q.request, err = f.readRequest(cmd.InOrStdin()); err != nil {
		return nil, err
	}
	if q.claims, err = f.readClaims(); err != nil {
		return nil, err
	}
	for _, given := range f.tokens {
		if err := q.addToken(cmd, given); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (f *evalFlags) readRequest(stdin io.Reader) (*authz.Request, error) {
	name, isFile := strings.CutPrefix(f.curl, "@")
	switch {
	case f.curl == "":
		name = f.request
	case !isFile:
		return askedWithCurl(f.curl)
	}
	text, err := readFile(name, stdin)
	if err != nil {
		return nil, err
	}
	if isFile {
		return askedWithCurl(string(text))
	}
	return casefile.ParseRequest(name, text)
}

func askedWithCurl(line string) (*authz.Request, error) {
	req, err := casefile.ParseCurl(line)
	if err != nil {
		return nil, usageError{fmt.Errorf("--curl: %w", err)}
	}
	return req, nil
}

func readFile(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

// readClaims is nil where nothing is stated.
func (f *evalFlags) readClaims() (map[string]authz.Token, error) {
	var out map[string]authz.Token
	for _, given := range f.claims {
		slot, text, found := strings.Cut(given, "=")
		if !found || slot == "" {
			return nil, usageError{errors.New("--claims: must be SLOT=JSON or SLOT=@FILE, such as users=@ann.json")}
		}
		name, raw := "--claims "+slot, []byte(text)
		if file, isFile := strings.CutPrefix(text, "@"); isFile {
			var err error
			if raw, err = os.ReadFile(file); err != nil {
				return nil, err
			}
			name = file
		}
		token, err := casefile.ParseClaims(name, raw)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = map[string]authz.Token{}
		}
		out[slot] = token
	}
	return out, nil
}

// addToken puts a token into the first place that its slot's rule reads.
func (q *question) addToken(cmd *cobra.Command, given string) error {
	slot, file, found := strings.Cut(given, "=@")
	if !found || slot == "" {
		return usageError{errors.New("--token: must be SLOT=@FILE, such as users=@ann.token; shells keep a history of command lines")}
	}
	rule, err := ruleOf(q.cfg, slot, "")
	if err != nil {
		return err
	}
	text, err := readToken(cmd, file)
	if err != nil {
		return err
	}
	if q.request.HTTP == nil {
		return usageError{errors.New("--token: a network check has no HTTP request that could carry one")}
	}
	return placeToken(q.request.HTTP, rule, text)
}

// ask takes the question through both doors.
func (q *question) ask(ctx context.Context) (*reply, error) {
	engine, err := policy.New(ctx, q.policy)
	if err != nil {
		return nil, q.placed(err)
	}
	defer engine.Close()
	if err := awaitPolicy(ctx, engine); err != nil {
		return nil, err
	}
	why := &explainer{engine: engine}
	a := &reply{}
	if q.claims != nil || q.cfg == nil {
		if err := q.stated(ctx, why, a); err != nil {
			return nil, err
		}
	} else if err := q.verified(ctx, engine, why, a); err != nil {
		return nil, err
	}
	a.why, a.printed = why.last, string(q.printed.take())
	return a, nil
}

func (q *question) placed(err error) error {
	if q.cfg == nil {
		return err
	}
	return placed(q.cfg, err)
}

// stated believes the claims that were given.
func (q *question) stated(ctx context.Context, decider authz.Decider, recorder authz.Recorder) error {
	runner := casefile.Runner{}
	if q.cfg != nil {
		var err error
		if runner, err = statedRunner(ctx, q.cfg); err != nil {
			return err
		}
		for name := range q.claims {
			if !slices.Contains(runner.Slots, name) {
				return usageError{fmt.Errorf("--claims: no rule is named %q; there are %s", name, strings.Join(runner.Slots, ", "))}
			}
		}
	}
	runner.Decider, runner.Recorder = decider, recorder
	runner.Answer(ctx, q.request, q.claims)
	return nil
}

// verified verifies the tokens on the request, and waits for the keys that takes.
func (q *question) verified(ctx context.Context, engine *policy.Engine, decider authz.Decider, recorder authz.Recorder) error {
	logger := slog.New(slog.DiscardHandler)
	verifier, err := newVerifier(ctx, q.cfg, engine, logger, token.Observer{})
	if err != nil {
		return err
	}
	defer verifier.Close()
	waiting, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	_ = verifier.AwaitReady(waiting) // without keys the answer says so
	checker := newChecker(q.cfg, verifier, decider, recorder)
	checker.Check(ctx, q.request)
	return nil
}

// Record implements [authz.Recorder].
func (a *reply) Record(_ context.Context, record *authz.Record) error {
	a.record = *record
	return nil
}

// outcome is the first line of what is printed.
func (a *reply) outcome() string {
	d := a.record.Decision
	if d.Allowed {
		return "ALLOWED"
	}
	return fmt.Sprintf("DENIED %d %s", d.Status, cmp.Or(string(d.Reason), "denied"))
}
