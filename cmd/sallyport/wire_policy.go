package main

import (
	"errors"
	"log/slog"
	"strings"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

func policyConfig(cfg *config.Config, logger *slog.Logger) policy.Config {
	p := cfg.Policy
	memo := int(p.Memo.MaxBytes)
	if memo == 0 {
		memo = -1 // in policy.Config, 0 is the default
	}
	out := policy.Config{
		Entrypoint: p.Path, Files: p.Files, Default: policies.FS, Data: p.Data, OutputHeaders: p.OutputHeaders,
		Capabilities: policy.Capabilities(p.Capabilities), MaxSteps: int64(p.MaxSteps), MemoBytes: memo, OPA: p.OPA, Logger: logger,
		Library:         policies.Library,
		ProtoDescriptor: p.ProtoDescriptor, MaxBodyBytes: int64(cfg.Request.MaxBodyBytes), SkipRequestBodyParse: p.SkipRequestBodyParse,
	}
	for _, e := range p.Entrypoints {
		out.Entrypoints = append(out.Entrypoints, policy.Entrypoint{
			Host: e.Host, ContextExtensions: e.ContextExtension, Network: e.Network, Path: e.Path, OutputHeaders: e.OutputHeaders,
		})
	}
	return out
}

// policyMistake places an error of the policy in the file.
func policyMistake(cfg *config.Config, err error) config.Mistake {
	if of, ok := errors.AsType[*policy.ConfigError](err); ok {
		return cfg.At("policy."+of.Path, of)
	}
	return cfg.At("policy", errors.New(strings.TrimPrefix(err.Error(), "policy: ")))
}

// candidateMistake places an error of the candidate's policy in the file.
func candidateMistake(cfg *config.Config, err error) config.Mistake {
	at := "policy.candidate"
	if of, ok := errors.AsType[*policy.ConfigError](err); ok {
		at += "." + of.Path
	}
	return cfg.At(at, errors.New(candidateText(err)))
}

// placed is a mistake of a setting with its place; what is wrong in the policy itself names its own.
func placed(cfg *config.Config, err error) error {
	if _, ok := errors.AsType[*policy.ConfigError](err); ok {
		return config.Mistakes{policyMistake(cfg, err)}
	}
	return err
}
