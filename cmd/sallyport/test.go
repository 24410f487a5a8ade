package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/pkg/policy"
)

// testFlags are those of the command test.
type testFlags struct {
	config, path, run, format string
	threshold                 float64
	coverage, verbose, watch  bool
}

func newTest() *cobra.Command {
	var flags testFlags
	cmd := &cobra.Command{
		Use:   "test [DIR|FILE...]",
		Short: "Run the Rego tests and the request cases of a policy",
		Long: `Run the Rego tests (rules test_… in files named _test.rego) and the request cases (files named
.cases.yaml, .cases.yml or .cases.json) that are found in the directories and files, and prove the
invariants (files named .invariants.yaml, .yml or .json; see "sallyport prove").

A request case is a request, as fields or as a curl line, with the claims of its tokens, and the
answer that the policy must give. It takes the way of a check in serve, but for the tokens, which are
believed as stated. policies/TESTING.md describes the form, field by field:

  cases:
  - note: a clerk reads an order
    request: curl https://shop.example.com/orders/7
    tokens: {users: {claims: {sub: ann, roles: [clerk]}}}
    expect: {allowed: true, headers: {x-user: ann}}
  - note: nobody else does
    request: {path: /orders/7}
    expect: {allowed: false, status: 401}

The policy is what the directories and files hold. With --config it is that of the configuration, with
its data, entrypoints and token slots, and the directories and files are searched for tests alone;
without any, those of policy.files are.

print() in the policy is shown for what failed, and with --verbose for everything.

The exit status is 0 where everything passed, 2 where something failed, was skipped or the coverage is
below the threshold, as with "opa test", and for a wrong command line; 1 for an error, also where there
is no test.`,
		Example: `  sallyport test policies/
  sallyport test --config sallyport.yaml --coverage --threshold 90
  sallyport test policies/ --run clerk --verbose
  sallyport test policies/ --format junit > report.xml
  sallyport test policies/ --watch`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return runTests(cmd, args, flags) },
	}
	flags.add(cmd)
	return cmd
}

func (f *testFlags) add(cmd *cobra.Command) {
	addConfigFlag(cmd, &f.config)
	flags := cmd.Flags()
	flags.StringVar(&f.path, "path", "", "the entrypoint to ask, `a/b/allow` for data.a.b.allow (default envoy/authz/allow, or policy.path)")
	flags.StringVarP(&f.run, "run", "r", "", "run only the tests whose name matches the `REGEX`: data.orders.test_reader, or the note of a case")
	flags.StringVarP(&f.format, "format", "f", "pretty", "pretty, json or junit")
	flags.BoolVar(&f.coverage, "coverage", false, "tell which lines of Rego the tests and cases reach")
	flags.Float64Var(&f.threshold, "threshold", 0, "fail where the coverage is below so many `PERCENT`; turns --coverage on")
	flags.BoolVarP(&f.watch, "watch", "w", false, "run again whenever a file changes, until interrupted")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "show what passed too, and for a case that failed the rules that were tried")
	completeWords(cmd, "format", "pretty", "json", "junit")
}

// completeWords offers the values of a flag.
func completeWords(cmd *cobra.Command, flag string, words ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // it fails for a flag that is not there
}

func (f *testFlags) check(args []string) error {
	if _, err := regexp.Compile(f.run); err != nil {
		return usageError{fmt.Errorf("--run: %w", err)}
	}
	switch {
	case f.format != "pretty" && f.format != "json" && f.format != "junit":
		return usageError{fmt.Errorf("--format: %q is not pretty, json or junit", f.format)}
	case f.threshold < 0 || f.threshold > 100:
		return usageError{errors.New("--threshold: must be from 0 to 100")}
	case len(args) == 0 && f.config == "":
		return usageError{errors.New("a directory or file with tests is needed, or --config")}
	}
	f.coverage = f.coverage || f.threshold > 0
	return nil
}

func runTests(cmd *cobra.Command, args []string, flags testFlags) error {
	if err := flags.check(args); err != nil {
		return err
	}
	if !flags.watch {
		return testOnce(cmd.Context(), cmd, args, flags)
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	again := func(ctx context.Context) {
		if err := testOnce(ctx, cmd, args, flags); err != nil && ctx.Err() == nil {
			complain(cmd.ErrOrStderr(), err)
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "Watching for changes; Ctrl-C ends.")
	}
	again(ctx)
	watched := args
	if flags.config != "" {
		watched = append([]string{flags.config}, args...)
		if s, err := newSuite(args, flags); err == nil {
			watched = append(watched, s.config.Files...)
		}
	}
	return policy.Watch(ctx, watched, again)
}

func testOnce(ctx context.Context, cmd *cobra.Command, args []string, flags testFlags) error {
	s, err := newSuite(args, flags)
	if err != nil {
		return err
	}
	results, err := s.run(ctx)
	if err != nil {
		return err
	}
	return report(cmd.OutOrStdout(), results, flags)
}
