package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/envoy/doctor"
	"github.com/sallyport/sallyport/pkg/policy"
)

// doctorFlags are those of the command doctor.
type doctorFlags struct {
	config, cluster, failOn, format string
	envoy, ignore                   []string
}

func newDoctor() *cobra.Command {
	var flags doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor (--envoy-config FILE|URL | PATH...)",
		Short: "Find the routes on which Envoy does not ask, or does not obey",
		Long: `Read the configuration of an Envoy, and list every route on which the check does not happen, or does
not bind, with the line and the mend. deploy/doctor.md tells every finding.

--envoy-config takes a bootstrap in YAML or JSON, a saved /config_dump, or the URL of the admin listener,
whose /config_dump is then fetched. A bootstrap does not hold what comes by discovery (LDS, RDS, ECDS);
that is a finding, not-seen, and the admin listener has it.

PATH is a file or directory with resources of Kubernetes: Istio's (MeshConfig, AuthorizationPolicy,
RequestAuthentication, EnvoyFilter) or Envoy Gateway's (SecurityPolicy, ClientTrafficPolicy, EnvoyProxy),
beside the Gateways, routes and workloads that they are for. What is not given is not known to be there.

With --config the findings are about the Sallyport of that configuration: the headers and the parts of
a request that its policy reads, its limits, the headers that it sets.

The exit status is 0 without findings as bad as --fail-on, 3 with some, 1 for what cannot be read, and 2
for a wrong command line.`,
		Example: `  sallyport doctor --envoy-config envoy.yaml --config sallyport.yaml
  sallyport doctor --envoy-config http://127.0.0.1:9901 --format html > doctor.html
  sallyport doctor --envoy-config dump.json --ignore 'disabled-on-route@prefix /healthz' --fail-on 'does not bind'
  kubectl get securitypolicies,httproutes,gateways -A -o yaml > all.yaml; sallyport doctor all.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error { return flags.run(cmd, args) },
	}
	addConfigFlag(cmd, &flags.config)
	f := cmd.Flags()
	f.StringArrayVar(&flags.envoy, "envoy-config", nil, "Envoy's configuration: a `FILE`, or the URL of the admin listener; may be repeated")
	f.StringVar(&flags.cluster, "cluster", "", "the `NAME` of Sallyport's cluster; other ext_authz filters do not count then")
	f.StringArrayVar(&flags.ignore, "ignore", nil, "leave findings out: `CODE`, or CODE@TEXT on the routes that have TEXT in their names; may be repeated")
	f.StringVar(&flags.failOn, "fail-on", string(doctor.Weak), "the least `SEVERITY` for exit status 3: "+severityNames())
	f.StringVarP(&flags.format, "format", "f", "pretty", strings.Join(documentFormats, ", "))
	completeWords(cmd, "format", documentFormats...)
	completeWords(cmd, "fail-on", strings.Split(severityNames(), ", ")...)
	return cmd
}

func severityNames() string {
	var names []string
	for _, s := range doctor.Severities() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

func (f *doctorFlags) run(cmd *cobra.Command, paths []string) error {
	options, err := f.check(paths)
	if err != nil {
		return usageError{err}
	}
	if f.config != "" {
		if options.Needs, err = needsOf(cmd.Context(), f.config); err != nil {
			return err
		}
	}
	var sources []doctor.Source
	for _, name := range slices.Concat(f.envoy, paths) {
		read, err := doctor.Read(cmd.Context(), name)
		if err != nil {
			return err
		}
		sources = append(sources, read...)
	}
	found := doctor.Examine(sources, options)
	if err := writeDocument(cmd.OutOrStdout(), f.format, doctorDocument(&found, options.Needs), found); err != nil {
		return err
	}
	bad := func(one doctor.Finding) bool { return one.Severity.AtLeast(doctor.Severity(f.failOn)) }
	if slices.ContainsFunc(found.Findings, bad) {
		return statusError{status: exitFindings}
	}
	return nil
}

// check reads the flags.
func (f *doctorFlags) check(paths []string) (doctor.Options, error) {
	o := doctor.Options{Cluster: f.cluster}
	switch {
	case len(f.envoy) == 0 && len(paths) == 0:
		return o, errors.New("a configuration is needed: --envoy-config, or a file or directory of resources")
	case !slices.Contains(documentFormats, f.format):
		return o, unknownFormat(f.format)
	case !slices.Contains(doctor.Severities(), doctor.Severity(f.failOn)):
		return o, fmt.Errorf("--fail-on: %q is not one of %s", f.failOn, severityNames())
	}
	for _, text := range f.ignore {
		code, where, _ := strings.Cut(text, "@")
		if !slices.ContainsFunc(doctor.Kinds(), func(k doctor.Kind) bool { return k.Code == code }) {
			return o, fmt.Errorf("--ignore: there is no finding %q; deploy/doctor.md lists them", code)
		}
		o.Ignore = append(o.Ignore, doctor.Ignore{Code: code, Where: where})
	}
	return o, nil
}

// needsOf are what the Sallyport of a configuration needs of its Envoy.
func needsOf(ctx context.Context, file string) (doctor.Needs, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return doctor.Needs{}, err
	}
	needs := doctor.Needs{
		Known: true, MaxBodyBytes: int64(cfg.Request.MaxBodyBytes), Timeout: cfg.Request.Timeout,
		FlagsAmbiguousPaths: cfg.Request.AmbiguousPaths == config.FlagAmbiguousPaths,
	}
	for i := range cfg.JWT.Rules {
		rule := &cfg.JWT.Rules[i]
		for _, h := range rule.FromHeaders {
			needs.TokenHeaders = append(needs.TokenHeaders, strings.ToLower(h.Name))
		}
		if len(rule.FromCookies) > 0 {
			needs.TokenHeaders = append(needs.TokenHeaders, "cookie")
		}
		for _, output := range rule.OutputClaimToHeaders {
			needs.IdentityHeaders = append(needs.IdentityHeaders, strings.ToLower(output.Header))
		}
		if rule.OutputPayloadToHeader != "" {
			needs.IdentityHeaders = append(needs.IdentityHeaders, strings.ToLower(rule.OutputPayloadToHeader))
		}
	}
	for _, name := range cfg.Policy.OutputHeaders {
		needs.IdentityHeaders = append(needs.IdentityHeaders, strings.ToLower(name))
	}
	needs.Reads, err = policyReads(ctx, cfg)
	return needs, err
}

// policyReads are the parts of input that the policy can read; nil where it comes from a server.
func policyReads(ctx context.Context, cfg *config.Config) ([]string, error) {
	if cfg.Policy.OPA["bundles"] != nil || cfg.Policy.OPA["discovery"] != nil {
		return nil, nil
	}
	engine, err := policy.New(ctx, policyConfig(cfg, slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	var reads []string
	for _, entrypoint := range engine.Describe().Entrypoints {
		reads = append(reads, entrypoint.Reads...)
	}
	if len(cfg.Policy.Files) == 0 {
		reads = readByRoutes(cfg, reads)
	}
	return reads, engine.Close()
}

// readByRoutes leaves out what the shipped policy can read, and no rule in its data has it read.
func readByRoutes(cfg *config.Config, reads []string) []string {
	says := func(condition string) bool {
		for _, list := range []string{"routes", "network"} {
			rules, _ := cfg.Policy.Data[list].([]any) // what is ill-typed admits nobody
			for _, rule := range rules {
				if fields, ok := rule.(map[string]any); ok && fields[condition] != nil {
					return true
				}
			}
		}
		return false
	}
	for condition, part := range map[string]string{"principals": "input.source.principal", "body": "input.parsed_body"} {
		if !says(condition) {
			reads = slices.DeleteFunc(reads, func(read string) bool { return strings.HasPrefix(read, part) })
		}
	}
	return reads
}
