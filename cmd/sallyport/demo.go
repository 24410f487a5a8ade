package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func newDemo() *cobra.Command {
	var once bool
	var envoy, dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the main job on this machine, behind a real Envoy",
		Long: `Start everything on loopback: issuers of tokens, Sallyport with the shipped policy, a service that
echoes what reaches it, and Envoy with deploy/envoy/envoy.yaml. Then play a tour of requests through
Envoy, show each answer and why, and stay: print curl lines with working tokens and follow the
decisions, until Ctrl-C.

Envoy is the binary that --envoy or the variable ENVOY names; ./hack/demo fetches one. Without it
the same tour is asked of Sallyport directly, as Envoy would ask.

The exit status is 1 if any answer is not the expected one.`,
		Example: `  ./hack/demo
  sallyport demo --once
  sallyport demo --envoy /usr/local/bin/envoy`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			out := cmd.OutOrStdout()
			w, err := startWorld(ctx, out, envoy, dir)
			if err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			defer func() { err = errors.Join(err, w.stop()) }()
			if err := w.playTour(ctx, out); err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			if once {
				return nil
			}
			return w.stay(ctx, out)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "end after the tour")
	cmd.Flags().StringVar(&envoy, "envoy", os.Getenv("ENVOY"), "the Envoy `BINARY`; the default is the variable ENVOY")
	cmd.Flags().StringVar(&dir, "dir", "", "keep the demo's files, its decision log among them, in this `DIRECTORY`")
	return cmd
}
