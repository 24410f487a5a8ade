package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token for development, read one, or see why one is refused",
		Long: `Tools for tokens. A token is a credential: inspect and verify read it from standard input or from a
file, never from the command line, which a shell keeps in its history and other users see.`,
		Example: `  sallyport token new --audience orders --key dev.jwk --jwks keys.json > dev.token
  sallyport token inspect < dev.token
  sallyport token verify --config sallyport.yaml < dev.token`,
		Args: usage(knownCommand),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newTokenNew(), newTokenInspect(), newTokenVerify())
	return cmd
}

// noToken refuses arguments without repeating them: one may be a token.
func noToken(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errors.New("no argument is taken; give the token on standard input or with --file, since shells keep a history of command lines")
	}
	return nil
}

// maxTokenInput is far above any token that a server takes.
const maxTokenInput = 64 << 10

func addTokenFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", "-", "the `FILE` with the token; - is standard input")
}

// readToken reads a token. Space around it and the scheme Bearer before it, which come along when
// it is copied, are not part of it.
func readToken(cmd *cobra.Command, name string) (string, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	} else if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		fmt.Fprintln(cmd.ErrOrStderr(), "Paste the token, then Enter and Ctrl-D:")
	}
	text, err := io.ReadAll(io.LimitReader(in, maxTokenInput+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if scheme, rest, found := strings.Cut(token, " "); found && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	switch {
	case token == "":
		return "", errors.New("no token: nothing was read")
	case len(text) > maxTokenInput:
		return "", fmt.Errorf("no token: more than %d bytes", maxTokenInput)
	}
	return token, nil
}
