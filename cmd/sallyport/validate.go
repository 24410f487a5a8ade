package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/token"
)

func newValidate() *cobra.Command {
	var file, old string
	cmd := &cobra.Command{
		Use:   "validate FILE",
		Short: "Say all that is wrong with a configuration file",
		Long: `Read a configuration file as serve would, without starting anything, and say everything that is
wrong with it, one line each: FILE:LINE:COLUMN: setting: what is wrong.

With --diff it also says which settings are other ones than in the configuration that runs, and which
of them serve takes over at once or only with a restart. Values of data and of OPA's configuration
are not shown.

The exit status is 0 for a valid file, 1 for one that is not, and 2 for a wrong command line.
Relative paths in the file are taken from the file's directory.`,
		Example: `  sallyport validate sallyport.yaml
  sallyport validate --config /etc/sallyport/sallyport.yaml
  sallyport validate --diff /etc/sallyport/sallyport.yaml new.yaml`,
		Args:              usage(oneFile(&file)),
		ValidArgsFunction: completeConfig,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := check(cmd.Context(), file); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: valid\n", file)
			return printChanges(cmd.OutOrStdout(), old, file)
		},
	}
	addConfigFlag(cmd, &file)
	cmd.Flags().StringVar(&old, "diff", "", "say what would change for a server that runs with `OLDFILE`")
	_ = cmd.RegisterFlagCompletionFunc("diff", completeConfig) // it fails for a flag that is not there
	return cmd
}

// printChanges says which settings differ; without an old file it says nothing.
func printChanges(out io.Writer, old, file string) error {
	if old == "" {
		return nil
	}
	before, err := config.Load(old)
	if err != nil {
		return err
	}
	after, err := config.Load(file)
	if err != nil {
		return err
	}
	changes := before.Diff(after)
	if len(changes) == 0 {
		fmt.Fprintln(out, "no setting changes")
	}
	for _, change := range changes {
		fmt.Fprintln(out, change)
	}
	return nil
}

// oneFile takes the file from the arguments, where the flag does not give it.
func oneFile(file *string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		given := args
		if *file != "" {
			given = append(given, *file)
		}
		if len(given) != 1 {
			return errors.New("one configuration file is needed")
		}
		*file = given[0]
		return nil
	}
}

func addConfigFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "config", "c", "", "the configuration `FILE`")
	_ = cmd.RegisterFlagCompletionFunc("config", completeConfig) // it fails for a flag that is not there
}

func completeConfig(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// check reads the file and everything that it names.
func check(ctx context.Context, file string) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	logger := slog.New(slog.DiscardHandler)
	var mistakes config.Mistakes
	verifier, err := newVerifier(ctx, cfg, nil, logger, token.Observer{})
	if found, ok := errors.AsType[config.Mistakes](err); ok {
		mistakes = append(mistakes, found...)
	} else if err != nil {
		return err
	} else if err := verifier.Close(); err != nil {
		return err
	}
	if err := policy.Validate(ctx, policyConfig(cfg, logger)); err != nil {
		mistakes = append(mistakes, policyMistake(cfg, err))
	}
	if cfg.Policy.Candidate != nil { // which serve would show as broken, and go on
		if err := policy.Validate(ctx, candidateConfig(cfg, logger)); err != nil {
			mistakes = append(mistakes, candidateMistake(cfg, err))
		}
	}
	if len(mistakes) > 0 {
		return mistakes
	}
	_, err = listenSocket(cfg)
	return err
}
