package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/replay"
)

// The exit statuses of "replay", beside 0, 1 and 2.
const (
	exitDifferences = 3 // beyond what was allowed
	exitUnfit       = 4 // the log, or the recorded policy
	exitUndecided   = 5 // no difference that was not allowed, but decisions that nobody can tell
)

// replayFlags are those of the command replay.
type replayFlags struct {
	logs, recorded                []string
	candidate, format, output     string
	newlyDenied, undecidedAllowed bool
	maxChanges                    int64
	groups, maxGroups, workers    int
}

func newReplay() *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use:   "replay --log FILE|DIR --candidate PATH [--recorded PATH]",
		Short: "Say what a changed policy would have decided otherwise, from recorded decisions",
		Long: `Have every decision of a decision log made again by another policy, and show what it would have decided
otherwise: whom it would let in, turn away, or answer in another way. Nothing is sent anywhere: the policy
sees the recorded time, and what builtins such as http.send answered then.

A policy is a directory, a bundle, or a configuration file (its section policy). A directory or a bundle
takes the place of policy.files and policy.opa in the configuration that is given with --recorded; without
one it is asked at the entrypoint that each record names.

--recorded is the policy that made the records. It has to decide as recorded, in every decision whose
record is complete, or the log is unfit: changed, or not of that policy. By what it reads is known, too,
what was not on a request. A record has only what its policy read; where the candidate needs more, the
decision is undecided, and never taken for a denial.

The exit status is 0 where nothing differs beyond what the flags allow, 3 where it does, 4 where the log is
unfit, 5 where the only trouble is undecided decisions, 1 for what cannot be read, and 2 for a wrong
command line. deploy/replay.md has examples, and the JSON.`,
		Example: `  sallyport replay --log decisions.ndjson --recorded sallyport.yaml --candidate candidate.yaml
  sallyport replay --log /var/log/sallyport --recorded bundle-41.tar.gz --candidate policies/ --format html --output replay.html
  zcat decisions-*.ndjson.gz | sallyport replay --log - --candidate bundle.tar.gz --allow-newly-denied --format markdown`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return flags.run(cmd) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&flags.logs, "log", nil, "a decision log: a `FILE`, also .gz, a directory of them, or - for standard input; may be repeated")
	f.StringVar(&flags.candidate, "candidate", "", "the policy to try: a `PATH` of a directory, bundle or configuration")
	f.StringSliceVar(&flags.recorded, "recorded", nil, "a policy that made the records: a `PATH` as of --candidate; may be repeated")
	f.BoolVar(&flags.newlyDenied, "allow-newly-denied", false, "decisions that become denials are no failure")
	f.Int64Var(&flags.maxChanges, "max-changes", 0, "so many decisions may change in status or headers; -1: any")
	f.BoolVar(&flags.undecidedAllowed, "allow-undecided", false, "decisions that nobody can tell are no failure")
	f.StringVarP(&flags.format, "format", "f", "pretty", strings.Join(documentFormats, ", "))
	f.StringVarP(&flags.output, "output", "o", "", "write to `FILE` instead of standard output")
	f.IntVar(&flags.groups, "groups", 20, "how many groups of each kind pretty and markdown show; 0: all")
	f.IntVar(&flags.maxGroups, "max-groups", 10_000, "how many groups are kept apart, which bounds the memory")
	f.IntVar(&flags.workers, "workers", 0, "how many records are replayed at a time; 0: as many as there are processors")
	completeWords(cmd, "format", documentFormats...)
	return cmd
}

func (f *replayFlags) check() error {
	switch {
	case len(f.logs) == 0:
		return usageError{errors.New("--log is needed: the decision log to read")}
	case f.candidate == "":
		return usageError{errors.New("--candidate is needed: the policy to try")}
	case !slices.Contains(documentFormats, f.format):
		return unknownFormat(f.format)
	case f.groups < 0 || f.maxGroups < 1 || f.workers < 0 || f.maxChanges < -1:
		return usageError{errors.New("--groups, --max-groups, --workers and --max-changes are counts")}
	}
	return nil
}

func (f *replayFlags) run(cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	log, err := history.Open(cmd.InOrStdin(), f.logs...)
	if err != nil {
		return err
	}
	policies, err := loadReplayed(cmd.Context(), f.candidate, f.recorded)
	if err != nil {
		return err
	}
	defer policies.close()
	ctx, stop := context.WithCancel(cmd.Context())
	reported := showProgress(ctx, cmd.ErrOrStderr(), log)
	result, err := replay.Run(ctx, replay.Config{
		Log: log, Candidate: policies.candidate, Recorded: policies.recorded, Workers: f.workers, MaxGroups: f.maxGroups,
	})
	stop()
	<-reported
	if err != nil {
		return err
	}
	if err := f.write(cmd.OutOrStdout(), result); err != nil {
		return err
	}
	return f.judge(result)
}

func (f *replayFlags) write(out io.Writer, result *replay.Result) (err error) {
	most := f.groups
	if f.format == "html" {
		most = 0
	}
	if f.output == "" {
		return writeDocument(out, f.format, result.Document(most), result)
	}
	file, err := os.Create(f.output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return writeDocument(file, f.format, result.Document(most), result)
}

// judge makes the exit status of a result.
func (f *replayFlags) judge(r *replay.Result) error {
	var wrong []string
	for _, limit := range []struct {
		n, most int64
		what    string
	}{
		{r.NewlyAllowed, 0, "newly allowed"},
		{r.NewlyDenied, unless(f.newlyDenied, 0), "newly denied (--allow-newly-denied)"},
		{r.Changed, unless(f.maxChanges < 0, f.maxChanges), "changed (--max-changes)"},
	} {
		if limit.most >= 0 && limit.n > limit.most {
			wrong = append(wrong, fmt.Sprintf("%d %s", limit.n, limit.what))
		}
	}
	switch {
	case r.Unfit != "":
		return statusError{exitUnfit, "the log is unfit for a replay: " + r.Unfit}
	case len(wrong) > 0:
		return statusError{exitDifferences, "decisions differ: " + strings.Join(wrong, ", ")}
	case r.Undecided > 0 && !f.undecidedAllowed:
		return statusError{exitUndecided, count(r.Undecided, "decision") + " cannot be told from the log (--allow-undecided)"}
	}
	return nil
}

// unless is a limit; -1 is none.
func unless(unlimited bool, most int64) int64 { //nolint:revive // it is the flag
	if unlimited {
		return -1
	}
	return most
}
