package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/token"
)

// statedRunner is the line of a configuration, but for the verification of tokens.
func statedRunner(ctx context.Context, cfg *config.Config) (casefile.Runner, error) {
	first := tokenConfig(ctx, cfg, nil, slog.New(slog.DiscardHandler))
	first.HTTPClient = &http.Client{Transport: offline{}}
	verifier, err := token.New(ctx, first)
	if err != nil {
		return casefile.Runner{}, tokenMistakes(cfg, err)
	}
	return casefile.Runner{
		Slots: slots(cfg), Suppose: verifier.InsecureSuppose,
		FlagAmbiguousPaths: cfg.Request.AmbiguousPaths == config.FlagAmbiguousPaths,
		Challenge:          authz.Challenge{Realm: cfg.JWT.Realm, ResourceMetadata: cfg.JWT.ResourceMetadata},
	}, verifier.Close()
}

// offline sends nothing: where tokens are stated, nobody needs an issuer's keys.
type offline struct{}

// RoundTrip implements [http.RoundTripper].
func (offline) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no keys are fetched for tokens that are stated")
}
