package main

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/decisionlog"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/telemetry"
)

// decisionLog starts the log, which is nil where nobody wants it.
func (l *line) decisionLog(cfg *config.Config, env environment, t *telemetry.Telemetry, engine *policy.Engine) (*decisionlog.Log, error) {
	file, err := l.logFile(cfg)
	if err != nil {
		return nil, err
	}
	var sinks []decisionlog.Sink
	if cfg.DecisionLog.Stdout {
		sinks = append(sinks, decisionlog.Sink{Name: "stdout", Writer: env.stdout})
	}
	if file != nil {
		sinks = append(sinks, decisionlog.Sink{Name: "file", Writer: file})
	}
	if cfg.DecisionLog.OTLP {
		logs := t.Logs()
		if logs == nil {
			return nil, config.Mistakes{cfg.At("decisionLog.otlp", errors.New(
				"nothing exports log records: set OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_LOGS_EXPORTER"))}
		}
		sinks = append(sinks, decisionlog.Sink{Name: "otlp", Writer: decisionlog.OTel{Logger: logs}})
	}
	if service := engine.DecisionLogs(); service != nil {
		sinks = append(sinks, decisionlog.Sink{Name: "opa", Writer: service})
	}
	if len(sinks) == 0 {
		return nil, nil
	}
	configured := logConfig(cfg, sinks)
	configured.Logger = l.logger
	log := decisionlog.New(configured)
	l.closers = append(l.closers, log.Close)
	return log, nil
}

func logConfig(cfg *config.Config, sinks []decisionlog.Sink) decisionlog.Config {
	from := cfg.DecisionLog
	return decisionlog.Config{
		Sinks:    sinks,
		Keep:     decisionlog.Keep{Headers: from.Keep.Headers, Cookies: from.Keep.Cookies, Query: from.Keep.Query, Claims: from.Keep.Claims},
		WhenFull: decisionlog.WhenFull(from.WhenFull), BlockTimeout: from.BlockTimeout,
		MaxBytes: int(from.QueueBytes), MaxLines: int(from.QueueRecords),
	}
}

// logFile opens the file of decisions; nil where there is none.
func (l *line) logFile(cfg *config.Config) (*decisionlog.File, error) {
	from := cfg.DecisionLog
	if from.File == "" {
		return nil, nil
	}
	file, err := decisionlog.OpenFile(decisionlog.FileConfig{
		Path: from.File, MaxBytes: int64(from.MaxSize), MaxFiles: int(from.MaxFiles), MaxAge: from.MaxAge,
	})
	if err != nil {
		return nil, config.Mistakes{cfg.At("decisionLog.file", err)}
	}
	l.closers = append(l.closers, func(context.Context) error { return file.Close() })
	return file, nil
}

// recording has decisions carry what they were made from, where any sink takes records.
func recording(cfg *config.Config) *policy.Recording {
	from := cfg.DecisionLog
	if !from.Stdout && from.File == "" && !from.OTLP && !policy.LogsDecisions(cfg.Policy.OPA) {
		return nil
	}
	return &policy.Recording{Claims: from.Keep.Claims, Body: from.Keep.Body}
}
