package main

import (
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/pack"
	"github.com/sallyport/sallyport/policies"
)

func newBundle() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Make policy bundles",
		Long:  "Make the bundles that control planes serve: archives of Rego and data, signed.",
		Args:  usage(knownCommand),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBundleBuild())
	return cmd
}

// A bundlePlan is what the flags of bundle build say.
type bundlePlan struct {
	pack.Config
	file         string // of the configuration
	output       string
	signing      pack.Signing
	verification pack.Verification
	algorithm    string
	keyID        string
}

func newBundleBuild() *cobra.Command {
	var plan bundlePlan
	cmd := &cobra.Command{
		Use:   "build PATH...",
		Short: "Make a bundle of policies and data, and sign it",
		Long: `Make a bundle archive as "opa build" does, with OPA's compiler and the flags of its names, and refuse
what serve would refuse: Rego that does not compile, builtins that the configuration does not allow
(the network, where policy.capabilities.allowNet has no hosts), data in the place of a rule, an
entrypoint that is not there.

Rego tests (_test.rego), request cases (.cases.yaml) and hidden files are left out. Rego v1 is tried
first, then v0. The output file is replaced at once, or stays as it was. The same input makes the same
bytes, but for signatures by ES256 and PS256 and their kin, which draw a random number.

The signing key is a PEM file, or for HS256 and its kin a secret or a file with one; every byte of that
file counts, a line's end too. A secret in an argument can be seen by every user of the machine: prefer
a file. "keyid" in the signature is --verification-key-id; with --claims-file it is what the file says.`,
		Example: `  sallyport bundle build policies/ -o bundle.tar.gz --revision "$(git rev-parse HEAD)"
  sallyport bundle build policies/ --signing-key private.pem --signing-alg ES256 --verification-key-id k1
  sallyport bundle build policies/ --config sallyport.yaml       # its capabilities, data and entrypoints
  sallyport bundle build policies/ -e envoy/authz/allow -O 1
  sallyport bundle build --bundle old.tar.gz --verification-key old.pem --signing-key new.pem`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			plan.Paths = args
			if err := plan.complete(); err != nil {
				return err
			}
			return pack.Build(cmd.Context(), plan.Config, plan.output)
		},
	}
	plan.flags(cmd)
	return cmd
}

func (p *bundlePlan) flags(cmd *cobra.Command) {
	addConfigFlag(cmd, &p.file)
	f := cmd.Flags()
	f.StringVarP(&p.output, "output", "o", "bundle.tar.gz", "the `FILE` of the bundle")
	f.StringVarP(&p.Revision, "revision", "r", "", "the bundle's `REVISION`")
	f.StringArrayVarP(&p.Entrypoints, "entrypoint", "e", nil, "a `PATH`, as a/b/allow, of a rule that must be there; may be repeated")
	f.IntVarP(&p.Optimize, "optimize", "O", 0, "the `LEVEL` of optimization, 0 to 2; it needs an entrypoint")
	f.BoolVarP(&p.Bundles, "bundle", "b", false, "the paths are bundles: archives, or directories as in one")
	f.StringArrayVar(&p.Ignore, "ignore", nil, "a `PATTERN` of names that are left out, such as '*.yaml'; may be repeated")
	f.StringVar(&p.signing.Key, "signing-key", "", "the private `KEY`: a PEM file, or a secret or a file with one")
	f.StringVar(&p.algorithm, "signing-alg", "RS256", "the `NAME` of the algorithm, to sign and to verify")
	f.StringVar(&p.signing.ClaimsFile, "claims-file", "", "the JSON `FILE` with claims of the signature, such as keyid and scope")
	f.StringVar(&p.verification.Key, "verification-key", "", "the public `KEY` that verifies the bundles read, or the secret")
	f.StringVar(&p.keyID, "verification-key-id", "default", "the `NAME` of the key in the signature")
	f.StringVar(&p.verification.Scope, "scope", "", "the `SCOPE` that signatures of the bundles read must have")
	f.StringArrayVar(&p.verification.Exclude, "exclude-files-verify", nil, "a `FILE` of the bundles read that needs no signature; may be repeated")
}

// complete makes one configuration of the flags, and refuses those that would do nothing.
func (p *bundlePlan) complete() error {
	switch {
	case p.signing.Key == "" && p.signing.ClaimsFile != "":
		return usageError{errors.New("--claims-file needs --signing-key")}
	case p.verification.Key == "" && (p.verification.Scope != "" || len(p.verification.Exclude) > 0):
		return usageError{errors.New("--scope and --exclude-files-verify need --verification-key; the scope of a new signature stands in --claims-file")}
	case p.verification.Key != "" && !p.Bundles:
		return usageError{errors.New("--verification-key needs --bundle: only bundles are signed")}
	case p.Optimize < 0 || p.Optimize > 2:
		return usageError{errors.New("--optimize must be 0, 1 or 2")}
	}
	if p.signing.Key != "" {
		p.signing.Algorithm, p.signing.KeyID = p.algorithm, p.keyID
		p.Signing = &p.signing
	}
	if p.verification.Key != "" {
		p.verification.Algorithm, p.verification.KeyID = p.algorithm, p.keyID
		p.Verification = &p.verification
	}
	var err error
	p.Policy, err = policySection(p.file)
	return err
}

// policySection is the policy of a configuration file, or of none.
func policySection(file string) (policy.Config, error) {
	if file == "" {
		return policy.Config{Library: policies.Library}, nil
	}
	cfg, err := config.Load(file)
	if err != nil {
		return policy.Config{}, err
	}
	return policyConfig(cfg, slog.New(slog.DiscardHandler)), nil
}
