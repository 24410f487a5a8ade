package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/token"
)

// keysPatience is how long a start waits for the issuers' keys. An issuer that is down must not
// keep the others' users out, so the server then starts without its keys.
const keysPatience = 2 * time.Second

// newVerifier makes the first door.
func newVerifier(
	ctx context.Context, cfg *config.Config, engine *policy.Engine, logger *slog.Logger, watch token.Observer,
) (*token.Verifier, error) {
	settings := tokenConfig(ctx, cfg, engine, logger)
	settings.Observer = watch
	verifier, err := token.New(ctx, settings)
	if err != nil {
		return nil, tokenMistakes(cfg, err)
	}
	return verifier, nil
}

// tokenConfig is the first door's part. Without an engine nobody asks the policy's data for revocations.
func tokenConfig(ctx context.Context, cfg *config.Config, engine *policy.Engine, logger *slog.Logger) token.Config {
	leeway := cfg.JWT.Leeway
	if leeway == 0 {
		leeway = -1 // in token.Config, 0 is the default
	}
	cache := int(cfg.JWT.Cache.MaxBytes)
	if cache == 0 {
		cache = -1 // likewise
	}
	out := token.Config{
		Leeway: leeway, CacheBytes: cache, Logger: logger,
		Revocation: token.Revocation{File: cfg.JWT.Revocation.File, MaxAge: cfg.JWT.Revocation.MaxAge},
	}
	if path := cfg.JWT.Revocation.Data; path != "" && engine != nil {
		out.Revocation.Data = revocationData(ctx, engine, path)
	}
	for _, r := range cfg.JWT.Rules {
		out.Rules = append(out.Rules, tokenRule(r))
	}
	return out
}

// revocationData reads a list of revoked tokens from the policy's data.
func revocationData(ctx context.Context, engine *policy.Engine, path string) func(last any) (list, version any, err error) {
	return func(last any) (list, version any, err error) {
		list, version, err = engine.Document(ctx, path, last)
		if err == nil && version == nil {
			err = token.ErrNoListYet
		}
		return list, version, err
	}
}

// tokenMistakes places the mistakes that pkg/token found in the file.
func tokenMistakes(cfg *config.Config, err error) error {
	joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err)
	if !ok {
		return err
	}
	var mistakes config.Mistakes
	for _, err := range joined.Unwrap() {
		if m, ok := errors.AsType[*token.Mistake](err); ok {
			mistakes = append(mistakes, cfg.At("jwt."+m.Path, m.Err))
		}
	}
	return mistakes
}

func tokenRule(r config.Rule) token.Rule {
	out := token.Rule{
		Name: r.Name, Issuer: r.Issuer, TrustDomain: r.TrustDomain, Required: r.Required, MaxLifetime: r.MaxLifetime,
		Audiences: r.Audiences, Algorithms: r.Algorithms, Types: r.Types,
		JWKS: r.JWKS, JWKSFile: r.JWKSFile, JWKSURI: r.JWKSURI, AllowInsecureHTTP: r.AllowInsecureHTTP,
		FromCookies: r.FromCookies, FromParams: r.FromParams, ForwardOriginalToken: r.ForwardOriginalToken,
		OutputPayloadToHeader: r.OutputPayloadToHeader, SpaceDelimitedClaims: r.SpaceDelimitedClaims, Timeout: r.Timeout,
	}
	for _, h := range r.FromHeaders {
		out.FromHeaders = append(out.FromHeaders, token.HeaderSource(h))
	}
	for _, c := range r.OutputClaimToHeaders {
		out.OutputClaimToHeaders = append(out.OutputClaimToHeaders, token.ClaimHeader(c))
	}
	return out
}

func awaitKeys(ctx context.Context, verifier *token.Verifier, logger *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, keysPatience)
	defer cancel()
	if err := verifier.AwaitReady(ctx); err != nil {
		logger.Warn("started without the keys of an issuer: its tokens are refused until they are there", "error", err)
	}
}
