package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sallyport/sallyport/pkg/inspect"
	decisionv1 "github.com/sallyport/sallyport/proto/sallyport/decision/v1"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

// watchFlags are those of the command watch.
type watchFlags struct {
	admin                              adminFlags
	path, principal, subject, slot     string
	reasons                            []string
	allowed, denied, differences, json bool
	limit                              int
}

func newWatch() *cobra.Command {
	var flags watchFlags
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Watch the decisions of a running server",
		Long: `Show the decisions of a running Sallyport as they are made: a line for each on a terminal, and NDJSON in
the format of the decision log elsewhere, or with --json. Credentials are masked as they are in the log.
With --differences it shows what a candidate policy (policy.candidate) would have decided otherwise.

A watcher that is too slow loses decisions and is told how many; no check waits for it. The admin listener
answers on the same machine, or to a client certificate that it verifies.`,
		Example: `  sallyport watch
  sallyport watch --denied --path /orders
  sallyport watch --differences
  sallyport watch --reason token_expired --reason token_audience
  sallyport watch --subject ann --slot users --json | jq .decision_id`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return watchDecisions(cmd, flags) },
	}
	addAdminFlags(cmd, &flags.admin)
	f := cmd.Flags()
	f.BoolVar(&flags.allowed, "allowed", false, "allowed requests alone")
	f.BoolVar(&flags.denied, "denied", false, "denied requests alone")
	f.BoolVar(&flags.differences, "differences", false, "what the candidate policy would have decided otherwise, and nothing else")
	f.StringSliceVar(&flags.reasons, "reason", nil, "a `REASON`, such as policy_denied; may be repeated")
	f.StringVar(&flags.path, "path", "", "what the path begins with")
	f.StringVar(&flags.principal, "principal", "", "the `IDENTITY` in the downstream peer's certificate")
	f.StringVar(&flags.subject, "subject", "", "the claim `SUB` of a valid token")
	f.StringVar(&flags.slot, "slot", "", "the `SLOT` of that token (default any)")
	f.BoolVar(&flags.json, "json", false, "NDJSON, on a terminal too")
	f.IntVar(&flags.limit, "limit", 0, "end after `N` decisions")
	return cmd
}

func (f *watchFlags) request() (*inspectv1.WatchRequest, error) {
	if f.allowed && f.denied {
		return nil, usageError{errors.New("--allowed and --denied leave nothing; give one of them")}
	}
	in := &inspectv1.WatchRequest{Reasons: f.reasons, PathPrefix: f.path, Principal: f.principal, Subject: f.subject, Slot: f.slot, Differences: f.differences}
	if f.allowed || f.denied {
		in.Allowed = &f.allowed
	}
	return in, nil
}

func watchDecisions(cmd *cobra.Command, flags watchFlags) error {
	in, err := flags.request()
	if err != nil {
		return err
	}
	conn, err := dialAdmin(flags.admin)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+inspect.ServiceName+"/Watch")
	if err == nil {
		err = errors.Join(stream.SendMsg(in), stream.CloseSend())
	}
	if err != nil {
		return adminError(flags.admin.address, err)
	}
	return receive(ctx, cmd, stream, flags)
}

// receive shows what comes, until ctx ends or it is enough.
func receive(ctx context.Context, cmd *cobra.Command, stream grpc.ClientStream, flags watchFlags) error {
	terminal, colour := onTerminal(cmd.OutOrStdout())
	inks := map[bool]string{}
	if colour {
		inks = map[bool]string{true: "\x1b[32m", false: "\x1b[31m"} // green, red
	}
	show := decisionLine(cmd.OutOrStdout(), inks)
	if flags.differences {
		show = differenceLine(cmd.OutOrStdout(), inks)
	}
	if flags.json || !terminal {
		show = decisionJSON(cmd.OutOrStdout())
	}
	for n := 0; flags.limit == 0 || n < flags.limit; {
		out := &inspectv1.WatchResponse{}
		switch err := stream.RecvMsg(out); {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was interrupted, which is how a watch ends
		case err != nil:
			return adminError(flags.admin.address, err)
		}
		if out.GetLost() > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "sallyport: %d decisions were lost: this watcher is too slow\n", out.GetLost())
		}
		if out.GetDecision() == nil {
			continue
		}
		if err := show(out.GetDecision()); err != nil {
			return err
		}
		n++
	}
	return nil
}

func decisionJSON(out io.Writer) func(*decisionv1.Decision) error {
	return func(d *decisionv1.Decision) error {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(d)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s\n", text)
		return err
	}
}

// decisionLine writes a decision for the eye, in the ink of allows or denials, if there is any: when,
// what, why, and its id for "why".
func decisionLine(out io.Writer, inks map[bool]string) func(*decisionv1.Decision) error {
	end := ""
	if len(inks) > 0 {
		end = "\x1b[0m"
	}
	word := map[bool]string{true: "allow", false: "deny "}
	return func(d *decisionv1.Decision) error {
		request := strings.TrimSpace(d.GetMethod() + " " + d.GetHost() + d.GetPath())
		detail := ""
		if d.GetDetail() != "" {
			detail = " (" + d.GetDetail() + ")"
		}
		_, err := fmt.Fprintf(out, "%s %s%s%s %s %s%s %s\n", d.GetTimestamp().AsTime().Local().Format("15:04:05.000"),
			inks[d.GetAllowed()], word[d.GetAllowed()], end, printable(request), d.GetReason(), printable(detail), d.GetDecisionId())
		return err
	}
}
