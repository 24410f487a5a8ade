package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/casefile"
)

// The exit statuses, beside 0.
const (
	exitFailed = 1
	exitUsage  = 2

	// exitTestFailed is that of "opa test"; for a denial, "eval --fail" has it too.
	exitTestFailed = 2

	// exitFindings is that of "lint".
	exitFindings = 3
)

// A statusError ends the command with a status of its own. Its message may be empty: then all is said.
type statusError struct {
	status  int
	message string
}

func (e statusError) Error() string { return e.message }

// orNil is no error where the status is 0.
func (e statusError) orNil() error {
	if e.status == 0 {
		return nil
	}
	return e
}

// run carries out one command line and returns its exit status.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	command, err := root.ExecuteC()
	var usage usageError
	var status statusError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "sallyport: %v\nRun '%s --help' for usage.\n", err, command.CommandPath())
		return exitUsage
	case errors.As(err, &status):
		complain(stderr, err)
		return status.status
	}
	complain(stderr, err)
	return exitFailed
}

// complain writes an error. Of mistakes in a file, each line begins with its place.
func complain(stderr io.Writer, err error) {
	_, inConfig := errors.AsType[config.Mistakes](err)
	switch {
	case err.Error() == "":
	case inConfig || casefile.IsMistakes(err):
		fmt.Fprintln(stderr, err)
	default:
		fmt.Fprintf(stderr, "sallyport: %v\n", err)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "Verify tokens and ask the policy, before Envoy lets a request through",
		Long: `Sallyport is an authorization server for Envoy, Istio and Envoy Gateway (ext_authz v3).
A request passes two doors: its JSON Web Tokens are verified, then a Rego policy is asked.`,
		Example: `  sallyport serve --config sallyport.yaml
  sallyport validate sallyport.yaml
  sallyport test policies/
  sallyport eval --config sallyport.yaml --curl 'curl https://shop.example.com/orders/7'
  sallyport lint policies/
  sallyport doctor --envoy-config http://127.0.0.1:9901
  sallyport replay --log decisions.ndjson --candidate policies/
  sallyport gaps --log decisions.ndjson --config sallyport.yaml
  sallyport learn --log decisions.ndjson --config sallyport.yaml
  sallyport prove policies/
  sallyport watch --denied
  sallyport why 4f0c2a8e-3c1d-4a57-9d1b-0f6f4f1f6d2e
  sallyport candidate status
  sallyport token verify --config sallyport.yaml < token.txt
  sallyport version
  source <(sallyport completion bash)`,
		Args:          usage(knownCommand),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	addCommands(root)
	return root
}

// addCommands adds them in the groups that help shows.
func addCommands(root *cobra.Command) {
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Run it:", []*cobra.Command{newServe(), newValidate(), newSchema(), newDoctor(), newDemo()}},
		{"Write a policy:", []*cobra.Command{newTest(), newEval(), newLint(), newProve(), newBundle(), newToken()}},
		{"Change it without fear:", []*cobra.Command{newReplay(), newCandidateCommand(), newGaps(), newLearn()}},
		{"Look into a running server:", []*cobra.Command{newWatch(), newWhy()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title})
		for _, command := range group.commands {
			command.GroupID = group.title
			root.AddCommand(command)
		}
	}
	root.AddCommand(newVersion())
}

// A usageError is a command line that could not be carried out.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usage marks what check refuses as a usage error.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

func knownCommand(cmd *cobra.Command, args []string) error {
	const longest = 20 // what is longer may be a token in the wrong place, and is not repeated
	switch {
	case len(args) == 0:
		return nil
	case len(args[0]) > longest:
		return errors.New("unknown command")
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("unknown command %q; did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("unknown command %q", args[0])
}
