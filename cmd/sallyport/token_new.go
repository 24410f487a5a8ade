package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// devIssuer is the default issuer.
const devIssuer = "https://dev.sallyport.invalid"

// A newTokenPlan is what the flags of token new say.
type newTokenPlan struct {
	algorithm string
	keyFile   string
	jwksFile  string
	issuer    string
	subject   string
	audiences []string
	expiresIn time.Duration
	typ       string
	claims    []string // name=value
	file      string   // of claims
}

func newTokenNew() *cobra.Command {
	var plan newTokenPlan
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a token for development, and the JWK set to verify it",
		Long: `Sign a token for development with a new key, or with the one of --key, and print it on standard
output. The JWK set that verifies it is written to --jwks, ready for jwksFile, or else to standard
error.

The issuer must be a URL whose host ends in .invalid, a name that never exists (RFC 2606), or is
loopback. There is no way around it: a key in a file must not speak for an issuer that others believe,
and a token that escapes from a test is refused everywhere else.

Claims are laid over each other in this order: iss, sub, iat and exp; --claims; --audience and
--subject; --claim. The value null takes a claim away. All of these may be wrong: any token can be made.`,
		Example: `  sallyport token new --audience orders
  sallyport token new --key dev.jwk --jwks keys.json --audience orders --subject alice --claim 'roles=["admin"]'
  sallyport token new --key dev.jwk --audience orders --expires-in -5m     # one that has expired
  echo '{"scope": "orders:read"}' | sallyport token new --claims - --type at+jwt`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			claims, err := plan.allClaims(cmd, time.Now())
			if err != nil {
				return err
			}
			return plan.issue(cmd, claims)
		},
	}
	plan.flags(cmd)
	return cmd
}

func (p *newTokenPlan) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.algorithm, "algorithm", "", "the `NAME` of the algorithm; the default is the key's, or ES256")
	f.StringVar(&p.keyFile, "key", "", "the `FILE` of the private JWK; it is made where it is absent, readable by you alone")
	f.StringVar(&p.jwksFile, "jwks", "", "the `FILE` to write the JWK set to")
	f.StringVar(&p.issuer, "issuer", devIssuer, "the `URL` of the issuer, under .invalid or on loopback")
	f.StringVar(&p.subject, "subject", "developer", "the `NAME` in sub")
	f.StringArrayVar(&p.audiences, "audience", nil, "a `NAME` in aud; may be repeated")
	f.DurationVar(&p.expiresIn, "expires-in", time.Hour, "the `TIME` until exp; a negative one is past")
	f.StringVar(&p.typ, "type", "JWT", "the `TYPE` in the header; \"\" leaves it out")
	f.StringArrayVar(&p.claims, "claim", nil, "a claim as `NAME=JSON`; may be repeated")
	f.StringVar(&p.file, "claims", "", "the `FILE` with a JSON object of claims; - is standard input")
	for name, values := range map[string][]string{
		"algorithm": signingAlgorithms(), "type": {"JWT", "at+jwt"}, "issuer": {devIssuer},
		"audience": nil, "subject": nil, "claim": nil, "expires-in": nil,
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // as for --config
	}
}

func signingAlgorithms() []string {
	return []string{"ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
}

// allClaims lays the claims over each other.
func (p *newTokenPlan) allClaims(cmd *cobra.Command, now time.Time) (map[string]any, error) {
	claims := map[string]any{
		"iss": p.issuer, "sub": p.subject,
		"iat": now.Add(min(0, p.expiresIn-time.Second)).Unix(), // never after exp: an expired token was once good
		"exp": now.Add(p.expiresIn).Unix(),
	}
	changes, err := p.fileClaims(cmd.InOrStdin())
	if err != nil {
		return nil, usageError{fmt.Errorf("--claims: %w", err)}
	}
	switch {
	case len(p.audiences) == 1:
		changes["aud"] = p.audiences[0]
	case len(p.audiences) > 1:
		changes["aud"] = p.audiences
	}
	if cmd.Flags().Changed("subject") {
		changes["sub"] = p.subject
	}
	for _, claim := range p.claims {
		name, text, _ := strings.Cut(claim, "=")
		value, err := decodeJSON([]byte(text))
		if name == "" || err != nil {
			return nil, usageError{fmt.Errorf(`--claim %s: must be NAME=JSON; a text needs quotes of its own: --claim 'tenant="acme"'`, name)}
		}
		changes[name] = value
	}
	claims = tokentest.Change(claims, changes)
	return claims, checkIssuer(claims["iss"])
}

func (p *newTokenPlan) fileClaims(in io.Reader) (map[string]any, error) {
	claims := make(map[string]any)
	if p.file == "" {
		return claims, nil
	}
	if p.file != "-" {
		file, err := os.Open(p.file)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxTokenInput))
	if err != nil {
		return nil, err
	}
	value, err := decodeJSON(text)
	object, ok := value.(map[string]any)
	if err != nil || !ok {
		return nil, errors.New("not a JSON object")
	}
	maps.Copy(claims, object)
	return claims, nil
}

// decodeJSON reads one JSON value and keeps numbers as they are written.
func decodeJSON(text []byte) (any, error) {
	if !json.Valid(text) {
		return nil, errors.New("not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err
}

// checkIssuer holds iss to names that nobody believes by accident: under .invalid, which no resolver
// answers (RFC 6761, section 6.4), or loopback. A token without iss is refused everywhere.
func checkIssuer(iss any) error {
	refused := usageError{fmt.Errorf("the issuer must be a URL whose host ends in .invalid or is loopback, such as %s: a development key must not speak for an issuer that others believe", devIssuer)}
	if iss == nil {
		return nil
	}
	text, ok := iss.(string)
	if !ok {
		return refused
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return refused
	}
	host := strings.ToLower(u.Hostname())
	ip := net.ParseIP(host)
	if host == "localhost" || ip != nil && ip.IsLoopback() || strings.HasSuffix(host, ".invalid") {
		return nil
	}
	return refused
}

// issue signs the token and hands out what verifies it.
func (p *newTokenPlan) issue(cmd *cobra.Command, claims map[string]any) error {
	if p.algorithm != "" && !slices.Contains(signingAlgorithms(), p.algorithm) {
		return usageError{fmt.Errorf("--algorithm must be one of %s", strings.Join(signingAlgorithms(), ", "))}
	}
	key, err := devKey(p.keyFile, p.algorithm)
	if err != nil {
		return err
	}
	header := map[string]any{"typ": p.typ}
	if p.typ == "" {
		header["typ"] = nil
	}
	text, err := key.Sign(header, claims)
	if err != nil {
		return err
	}
	set, err := json.MarshalIndent(tokentest.KeySet(key), "", "  ")
	if err != nil {
		return err
	}
	if p.jwksFile == "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", set)
	} else if err := writeKeySet(p.jwksFile, set); err != nil {
		return fmt.Errorf("--jwks: %w", err)
	}
	fmt.Fprintln(cmd.OutOrStdout(), text)
	return nil
}
