package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sallyport/sallyport/pkg/inspect"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

const (
	// exitPending is that of "candidate status" and "candidate promote" while too little was compared.
	exitPending = 4

	candidateTime = 10 * time.Second // more than the server takes for the status
	candidatePoll = time.Second
)

func newCandidateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "candidate",
		Short: "Look at the policy on trial of a running server, and let it decide",
		Long: `A candidate (policy.candidate in the configuration file) is asked about the same requests as the policy
that decides, beside their path, and what it would have decided otherwise is counted, logged and shown.`,
		Example: `  sallyport candidate status
  sallyport watch --differences
  sallyport candidate promote --wait 30m
  sallyport candidate drop`,
		Args: usage(knownCommand),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCandidateStatus(), newCandidatePromote(), newCandidateDrop())
	return cmd
}

func newCandidateStatus() *cobra.Command {
	var admin adminFlags
	var format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how the candidate differs, and what is missing for promotion",
		Long: `Say what was compared since either policy last changed: how many decisions differ, the differences that
are alike with one decision's id each (what would newly be allowed first), and what is missing for promotion.

The exit status is 0 where nothing is missing or the candidate decides, 3 where more differ than may, 4 where
too few were compared yet, and 1 where there is no candidate, it is broken, or the server cannot be asked.`,
		Example: `  sallyport candidate status
  sallyport candidate status --format markdown >> $GITHUB_STEP_SUMMARY`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return candidateStatus(cmd, admin, format) },
	}
	addAdminFlags(cmd, &admin)
	cmd.Flags().StringVarP(&format, "format", "f", "pretty", strings.Join(documentFormats, ", "))
	completeWords(cmd, "format", documentFormats...)
	return cmd
}

func newCandidatePromote() *cobra.Command {
	var admin adminFlags
	var revision string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "promote",
		Short: "Let the candidate decide, if enough was compared and little differs",
		Long: `Let the candidate decide, at once and for every check from then on. It is refused with the reason while
fewer decisions were compared than policy.candidate.promote.decisions, or more differ or failed than
maxDifferences; no flag gets around that. Only whom promote.local or promote.clients names may do it.

The configuration file stays as it is, and stays the truth: a restart, a change under policy, and "candidate
drop" let its policy decide again. What to change in the file is printed. Each replica is asked by itself.

The exit status is that of "candidate status", and 1 for a refusal of another kind.`,
		Example: `  sallyport candidate promote
  sallyport candidate promote --wait 30m --revision 2026-11-30.4`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return promoteCandidate(cmd, admin, revision, wait) },
	}
	addAdminFlags(cmd, &admin)
	cmd.Flags().StringVar(&revision, "revision", "", "the `REVISION` that was looked at; another one is refused (default: that of now)")
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait as long as this for the decisions that are missing")
	return cmd
}

func newCandidateDrop() *cobra.Command {
	var admin adminFlags
	cmd := &cobra.Command{
		Use:   "drop",
		Short: "End the trial; the policy of the configuration file decides",
		Long: `End the trial, and what was promoted: the policy of the configuration file decides at once. The candidate
is forgotten until policy.candidate in the file is another one, or a restart. Whom promote.local or
promote.clients names may do it.`,
		Example: `  sallyport candidate drop`,
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onCandidate(cmd, admin, func(ctx context.Context, conn *grpc.ClientConn) error {
				out, err := callOn[inspectv1.DropRequest, inspectv1.DropResponse](ctx, conn, inspect.CandidateServiceName+"/Drop", &inspectv1.DropRequest{})
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "dropped; %s decides\n", printable(out.GetRevision()))
				}
				return err
			})
		},
	}
	addAdminFlags(cmd, &admin)
	return cmd
}

// onCandidate connects, and is interrupted as people do it.
func onCandidate(cmd *cobra.Command, admin adminFlags, do func(context.Context, *grpc.ClientConn) error) error {
	conn, err := dialAdmin(admin)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return do(ctx, conn)
}

func askStatus(ctx context.Context, conn *grpc.ClientConn) (*inspectv1.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, candidateTime)
	defer cancel()
	return callOn[inspectv1.StatusRequest, inspectv1.StatusResponse](ctx, conn, inspect.CandidateServiceName+"/Status", &inspectv1.StatusRequest{})
}

func candidateStatus(cmd *cobra.Command, admin adminFlags, format string) error {
	if !slices.Contains(documentFormats, format) {
		return unknownFormat(format)
	}
	return onCandidate(cmd, admin, func(ctx context.Context, conn *grpc.ClientConn) error {
		status, err := askStatus(ctx, conn)
		if err != nil {
			return err
		}
		if err := writeStatus(cmd, format, status); err != nil {
			return err
		}
		return statusError{trialStatus(status), ""}.orNil()
	})
}

func writeStatus(cmd *cobra.Command, format string, status *inspectv1.StatusResponse) error {
	out := cmd.OutOrStdout()
	if format == "json" {
		text, err := protojson.MarshalOptions{UseProtoNames: true, Multiline: true, EmitUnpopulated: true}.Marshal(status)
		if err == nil {
			_, err = fmt.Fprintln(out, string(text))
		}
		return err
	}
	return writeDocument(out, format, statusDocument(status), nil)
}

// trialStatus is the exit status for what a candidate has come to.
func trialStatus(s *inspectv1.StatusResponse) int {
	switch {
	case s.GetState() == candidatePromoted:
		return 0
	case s.GetState() != candidateComparing && s.GetState() != candidateWaiting:
		return exitFailed
	case s.GetDifferences() > s.GetMaxDifferences():
		return exitFindings
	case s.GetMissing() != "":
		return exitPending
	}
	return 0
}

func promoteCandidate(cmd *cobra.Command, admin adminFlags, revision string, wait time.Duration) error {
	if wait < 0 {
		return usageError{errors.New("--wait: must not be less than 0")}
	}
	return onCandidate(cmd, admin, func(ctx context.Context, conn *grpc.ClientConn) error {
		seen, err := awaitTrial(ctx, conn, wait)
		if err != nil {
			return err
		}
		revision = cmp.Or(revision, seen.GetCandidateRevision())
		if seen.GetState() == candidatePromoted && revision == seen.GetCandidateRevision() {
			fmt.Fprintf(cmd.OutOrStdout(), "%s decides already\nto do: %s\n", printable(revision), printable(seen.GetToDo()))
			return nil
		}
		in := &inspectv1.PromoteRequest{CandidateRevision: revision}
		out, err := callOn[inspectv1.PromoteRequest, inspectv1.PromoteResponse](ctx, conn, inspect.CandidateServiceName+"/Promote", in)
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "promoted: %s decides, after %d decisions of which %d differed\nto do: %s\n",
			printable(out.GetRevision()), seen.GetCompared(), seen.GetDifferences(), printable(out.GetToDo()))
		return nil
	})
}

// awaitTrial waits until nothing is missing that time can bring.
func awaitTrial(ctx context.Context, conn *grpc.ClientConn, wait time.Duration) (*inspectv1.StatusResponse, error) {
	waited := time.NewTimer(wait)
	defer waited.Stop()
	tick := time.NewTicker(candidatePoll)
	defer tick.Stop()
	for {
		status, err := askStatus(ctx, conn)
		if err != nil {
			return nil, err
		}
		code := trialStatus(status)
		if code == 0 {
			return status, nil
		}
		refusal := statusError{code, "not promoted: " + missing(status)}
		if code != exitPending {
			return nil, refusal
		}
		select {
		case <-ctx.Done():
			return nil, refusal
		case <-waited.C:
			return nil, refusal
		case <-tick.C:
		}
	}
}

// missing says in a sentence why a candidate cannot be promoted.
func missing(s *inspectv1.StatusResponse) string {
	switch {
	case s.GetState() == "":
		return "there is no candidate; the configuration file has no policy.candidate"
	case s.GetTrouble() != "" && s.GetState() != candidateComparing:
		return s.GetMissing() + ": " + s.GetTrouble()
	}
	return s.GetMissing()
}
