package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

func newServe() *cobra.Command {
	var file string
	var profiles profiles
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Answer Envoy's checks",
		Long: `Answer the checks of Envoy, Istio and Envoy Gateway over gRPC
(envoy.service.auth.v3.Authorization/Check), until SIGTERM or SIGINT; then say NOT_SERVING for a
while and finish what runs (listen.drain). A second signal ends at once.

A mistake in the configuration stops the start and is shown with its line; see "sallyport validate".
A change of the file takes effect within two seconds, and at SIGHUP, but for settings that need a
restart; a file with a mistake changes nothing, and is told of at /readyz and in the messages.
Decisions are written to standard output as NDJSON, messages for the operator to standard error.
Metrics are at /metrics of listen.admin; OTEL_EXPORTER_OTLP_ENDPOINT and the other OTEL_* variables
send traces, metrics and messages over OTLP.`,
		Example: `  sallyport serve --config sallyport.yaml
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 sallyport serve -c sallyport.yaml`,
		Args: usage(oneFile(&file)),
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd, file, profiles) },
	}
	addConfigFlag(cmd, &file)
	cmd.Flags().StringVar(&profiles.cpu, "cpuprofile", "", "write a CPU profile to `FILE` when the server stops")
	cmd.Flags().StringVar(&profiles.memory, "memprofile", "", "write a profile of all allocations to `FILE` when the server stops")
	return cmd
}

func serve(cmd *cobra.Command, file string, profiles profiles) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	var level slog.LevelVar
	level.Set(cfg.Log.Severity())
	l, err := build(ctx, cfg, environment{
		stdout: cmd.OutOrStdout(), logger: newLogger(cfg.Log, &level, cmd.ErrOrStderr()), level: &level, file: file, hangups: hangup,
	})
	if err != nil {
		return err
	}
	defer fitMemory(l.logger)()
	l.logger.Info("serving", "grpc", l.server.GRPCAddr().String(), "config", file)
	return profiles.during(func() error { return l.run(ctx) })
}
