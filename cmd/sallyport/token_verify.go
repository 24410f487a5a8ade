package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/token"
)

// verifyPatience is how long a verification waits for the issuer's keys: two attempts and what is
// between them.
const verifyPatience = 10 * time.Second

func newTokenVerify() *cobra.Command {
	var file, slot, input string
	cmd := &cobra.Command{
		Use:   "verify --config FILE",
		Short: "Take a token through the first door, and tell every step",
		Long: `Take a token through the first door of a configuration, by the code that serve runs, and tell what
was checked, with which rule and key, what failed and how to mend it.

The token comes from standard input or from --file. It is put into the first place that the rule
reads; the rule is the first one for the token's issuer, or the one that --slot names. If the
issuer's keys must be fetched, this waits for them, 10 seconds at most.

The exit status is 0 for a token that is verified, and 1 for one that is not.`,
		Example: `  sallyport token verify --config sallyport.yaml < token.txt
  sallyport token verify --config sallyport.yaml --slot workload --file workload.token`,
		Args: usage(noToken),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usageError{errors.New("--config is needed: it says which issuers are believed")}
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			text, err := readToken(cmd, input)
			if err != nil {
				return err
			}
			rule, err := ruleOf(cfg, slot, text)
			if err != nil {
				return err
			}
			return verifyToken(cmd, cfg, rule, text)
		},
	}
	addConfigFlag(cmd, &file)
	addTokenFlag(cmd, &input)
	cmd.Flags().StringVar(&slot, "slot", "", "the `NAME` of the rule whose place the token is put into")
	_ = cmd.RegisterFlagCompletionFunc("slot", completeSlot(&file)) // it fails for a flag that is not there
	return cmd
}

// completeSlot offers the names of the configuration's rules.
func completeSlot(file *string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		cfg, err := config.Load(*file)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return slots(cfg), cobra.ShellCompDirectiveNoFileComp
	}
}

func slots(cfg *config.Config) []string {
	var names []string
	for _, r := range cfg.JWT.Rules {
		names = append(names, r.Name)
	}
	return names
}

// ruleOf picks the rule whose place the token is put into. What the token says of its issuer is
// believed for this alone; the first door then reads it itself.
func ruleOf(cfg *config.Config, slot, text string) (config.Rule, error) {
	if len(cfg.JWT.Rules) == 0 {
		return config.Rule{}, config.Mistakes{cfg.At("jwt.rules", errors.New("there are none, so no token is ever read"))}
	}
	issuer, subject := claimed(text)
	i := slices.IndexFunc(cfg.JWT.Rules, func(r config.Rule) bool {
		svid := r.TrustDomain != "" && strings.HasPrefix(subject, "spiffe://"+r.TrustDomain+"/")
		return slot == "" && (svid || r.TrustDomain == "" && r.Issuer == issuer) || slot != "" && r.Name == slot
	})
	switch {
	case i >= 0:
		return cfg.JWT.Rules[i], nil
	case slot != "":
		return config.Rule{}, usageError{fmt.Errorf("no rule is named %q; there are %s", slot, strings.Join(slots(cfg), ", "))}
	}
	return cfg.JWT.Rules[0], nil // the first door will say what it thinks of the issuer
}

// claimed are iss and sub, "" where they cannot be read.
func claimed(text string) (issuer, subject string) {
	segments := strings.Split(text, ".")
	if len(segments) != 3 {
		return "", ""
	}
	var claims struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(segments[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return "", ""
	}
	return claims.Issuer, claims.Subject
}

func verifyToken(cmd *cobra.Command, cfg *config.Config, rule config.Rule, text string) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	logger := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError}))
	engine, err := policy.New(ctx, policyConfig(cfg, logger)) // its data may hold revocations
	if err != nil {
		return placed(cfg, err)
	}
	defer engine.Close()
	verifier, err := newVerifier(ctx, alone(cfg, rule), engine, logger, token.Observer{})
	if err != nil {
		return err
	}
	defer verifier.Close()
	req, err := requestWith(rule, text)
	if err != nil {
		return err
	}
	noKeys := awaitIssuer(ctx, cmd.ErrOrStderr(), verifier, rule)
	id, steps, err := verifier.Explain(ctx, req)
	printSteps(out, steps)
	if noKeys != nil && err != nil {
		fmt.Fprintf(out, "\nThe issuer's keys could not be had in %s:\n  %s\n", inWords(verifyPatience), printable(noKeys.Error()))
	}
	printSlots(out, cfg, id)
	if err != nil {
		return fmt.Errorf("the token is refused: %s", authz.ReasonOf(err))
	}
	if !id.Authenticated() {
		return fmt.Errorf("the token is not found in the place that rule %q reads", rule.Name)
	}
	fmt.Fprintln(out, "\nVerified.")
	return nil
}

// alone is a configuration that requires no token but that of one rule: no other is here.
func alone(cfg *config.Config, rule config.Rule) *config.Config {
	changed := *cfg
	changed.JWT.Rules = slices.Clone(cfg.JWT.Rules)
	for i := range changed.JWT.Rules {
		r := &changed.JWT.Rules[i]
		r.Required = r.Required && r.Name == rule.Name
	}
	return &changed
}

// awaitIssuer waits for the keys of the rule's issuer, and says so if they are not there at once.
func awaitIssuer(ctx context.Context, errOut io.Writer, verifier *token.Verifier, rule config.Rule) error {
	at, cancel := context.WithTimeout(ctx, 0)
	cancel()
	if verifier.AwaitKeys(at, rule.Name) == nil {
		return nil
	}
	fmt.Fprintf(errOut, "Waiting for the keys of %q, %s at most …\n", cmp.Or(rule.Issuer, rule.TrustDomain), inWords(verifyPatience))
	waiting, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	return verifier.AwaitKeys(waiting, rule.Name)
}

// requestWith is a request with a token in the first place that a rule reads.
func requestWith(rule config.Rule, text string) (*authz.Request, error) {
	http := &authz.HTTP{Method: "GET", Path: authz.Path{Raw: "/", Segments: []string{""}}, Headers: authz.Headers{}}
	if err := placeToken(http, rule, text); err != nil {
		return nil, err
	}
	return &authz.Request{HTTP: http, Time: time.Now()}, nil
}

// placeToken adds a token to a request, in the first place that a rule reads.
func placeToken(http *authz.HTTP, rule config.Rule, text string) (err error) {
	switch {
	case len(rule.FromHeaders) > 0:
		place := rule.FromHeaders[0]
		http.Headers[place.Name] = append(http.Headers[place.Name], place.Prefix+text)
	case len(rule.FromCookies) > 0:
		cookies := append(slices.Clone(http.Headers["cookie"]), rule.FromCookies[0]+"="+text)
		http.Headers["cookie"] = []string{strings.Join(cookies, "; ")}
	default:
		separator := "?"
		if strings.Contains(http.Path.Raw, "?") {
			separator = "&"
		}
		http.Path, err = authz.ParsePath(http.Path.Raw + separator + url.Values{rule.FromParams[0]: {text}}.Encode())
	}
	return err
}

func printSteps(out io.Writer, steps []token.Step) {
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "\tCHECK\tRULE\tFOUND")
	for _, s := range steps {
		mark := "ok"
		if s.Err != nil {
			mark = "FAIL"
		}
		fmt.Fprintf(columns, "%s\t%s\t%s\t%s\n", mark, s.Check, s.Rule, printable(s.Found))
	}
	columns.Flush()
	if len(steps) == 0 || steps[len(steps)-1].Err == nil {
		return
	}
	last := steps[len(steps)-1]
	reason := authz.ReasonOf(last.Err)
	fmt.Fprintf(out, "\nRefused: %s\n  why   %s\n", reason, printable(last.Err.Error()))
	if advice := mend(last.Check, reason); advice != "" {
		fmt.Fprintf(out, "  mend  %s\n", advice)
	}
}

func printSlots(out io.Writer, cfg *config.Config, id authz.Identity) {
	rows := make([]member, 0, len(cfg.JWT.Rules))
	for _, r := range cfg.JWT.Rules {
		rows = append(rows, member{r.Name, string(id.Tokens[r.Name].Status)})
	}
	table(out, "Slots", rows)
}
