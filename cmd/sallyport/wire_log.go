package main

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/decisionlog"
	"github.com/sallyport/sallyport/pkg/policy"
)

// A decisionLog is the log of a configuration, with the sinks that are its own.
type decisionLog struct {
	log  *decisionlog.Log  // nil: nobody wants records
	file *decisionlog.File // nil: none
}

// newDecisionLog starts the log.
func (l *line) newDecisionLog(cfg *config.Config, engine *policy.Engine) (_ *decisionLog, err error) {
	out := &decisionLog{}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.close(context.Background()))
		}
	}()
	var sinks []decisionlog.Sink
	if cfg.DecisionLog.Stdout {
		sinks = append(sinks, decisionlog.Sink{Name: "stdout", Writer: l.env.stdout})
	}
	if cfg.DecisionLog.File != "" {
		if out.file, err = decisionlog.OpenFile(fileConfig(cfg)); err != nil {
			return nil, config.Mistakes{cfg.At("decisionLog.file", err)}
		}
		sinks = append(sinks, decisionlog.Sink{Name: "file", Writer: out.file})
	}
	if cfg.DecisionLog.OTLP {
		logs := l.watched.Logs()
		if logs == nil {
			return nil, config.Mistakes{cfg.At("decisionLog.otlp", errors.New(
				"nothing exports log records: set OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_LOGS_EXPORTER"))}
		}
		sinks = append(sinks, decisionlog.Sink{Name: "otlp", Writer: decisionlog.OTel{Logger: logs}})
	}
	if service := engine.DecisionLogs(); service != nil {
		sinks = append(sinks, decisionlog.Sink{Name: "opa", Writer: service, ChecksOnly: true})
	}
	if len(sinks) > 0 {
		configured := logConfig(cfg, sinks)
		configured.Logger = l.logger
		out.log = decisionlog.New(configured)
	}
	return out, nil
}

func (d *decisionLog) recorders() authz.Recorders {
	if d.log == nil {
		return nil
	}
	return authz.Recorders{d.log}
}

func (d *decisionLog) trouble() error {
	if d.log == nil {
		return nil
	}
	return d.log.Trouble()
}

// close writes what is queued, and ends.
func (d *decisionLog) close(ctx context.Context) error {
	var errs []error
	if d.log != nil {
		errs = append(errs, d.log.Close(ctx))
	}
	if d.file != nil {
		errs = append(errs, d.file.Close())
	}
	return errors.Join(errs...)
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

func fileConfig(cfg *config.Config) decisionlog.FileConfig {
	from := cfg.DecisionLog
	return decisionlog.FileConfig{Path: from.File, MaxBytes: int64(from.MaxSize), MaxFiles: int(from.MaxFiles), MaxAge: from.MaxAge}
}

// recording has decisions carry what they were made from, where any sink takes records.
func recording(cfg *config.Config) *policy.Recording {
	from := cfg.DecisionLog
	if !from.Stdout && from.File == "" && !from.OTLP && !policy.LogsDecisions(cfg.Policy.OPA) {
		return nil
	}
	return &policy.Recording{Claims: from.Keep.Claims, Body: from.Keep.Body, Whole: from.Keep.Input == config.KeepAll}
}
