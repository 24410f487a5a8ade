package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/config"
	"github.com/open-policy-agent/opa/v1/util"
)

// demands are what Sallyport asks of OPA's configuration beyond OPA: options that exist, none that
// would be silently without effect, and a signature on every bundle where there are keys to check
// it with. They are hooks of OPA, for the configuration of the file and for what discovery brings.
type demands struct{ logger *slog.Logger }

// OnConfig checks the configuration of the file.
func (d *demands) OnConfig(ctx context.Context, c *config.Config) (*config.Config, error) {
	return d.check(ctx, c)
}

// OnConfigDiscovery checks what discovery brings. What is refused there leaves the old one.
func (d *demands) OnConfigDiscovery(ctx context.Context, c *config.Config) (*config.Config, error) {
	return d.check(ctx, c)
}

func (d *demands) check(ctx context.Context, c *config.Config) (*config.Config, error) {
	var errs []error
	for _, warning := range c.Warnings {
		errs = append(errs, errors.New(warning))
	}
	if c.Storage != nil {
		errs = append(errs, errors.New("storage is not supported: policy and data are held in memory"))
	}
	for _, name := range util.KeysSorted(c.Plugins) {
		text := fmt.Sprintf("there is no plugin %q", name)
		if strings.HasPrefix(strings.ReplaceAll(name, ".", "_"), "envoy_ext_authz") {
			text += "; its addr is listen.grpc here, and its path is policy.path"
		}
		errs = append(errs, errors.New(text))
	}
	for name, set := range map[string]bool{
		"server": c.Server != nil, "distributed_tracing": c.DistributedTracing != nil,
		"metrics_export": c.MetricsExport != nil, "nd_builtin_cache": c.NDBuiltinCache && c.DecisionLogs == nil,
	} {
		if set {
			d.logger.WarnContext(ctx, "this part of policy.opa has no effect here", "part", name)
		}
	}
	var err error
	c.Bundles, err = signed(c.Bundles, c.Keys)
	return c, errors.Join(append(errs, err)...)
}

// signed demands a signature of every bundle whose configuration does not speak of signing, where
// there is a key to verify one. OPA would accept those bundles unsigned, and only warn.
// "signing: null" is still that.
func signed(bundles, keys json.RawMessage) (json.RawMessage, error) {
	var verifiers map[string]struct {
		Key string `json:"key"`
	}
	if len(keys) > 0 {
		if err := util.Unmarshal(keys, &verifiers); err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
	}
	var sources map[string]map[string]any
	if len(bundles) > 0 {
		if err := util.Unmarshal(bundles, &sources); err != nil {
			return nil, fmt.Errorf("bundles: %w", err)
		}
	}
	verifies := slices.ContainsFunc(util.KeysSorted(verifiers), func(name string) bool { return verifiers[name].Key != "" })
	if !verifies || len(sources) == 0 {
		return bundles, nil
	}
	for _, source := range sources {
		if _, ok := source["signing"]; !ok && source != nil {
			source["signing"] = map[string]any{}
		}
	}
	return json.Marshal(sources)
}

// expand puts environment variables in place of "${NAME}", as OPA does when it reads its file. A
// variable that is not set is an error: what it stands for is mostly a credential.
func expand(config map[string]any) (map[string]any, error) {
	var errs []error
	expanded := expandValue(config, func(match string) string {
		name := match[2 : len(match)-1]
		value, ok := os.LookupEnv(name)
		if !ok {
			errs = append(errs, fmt.Errorf("policy: opa: the environment variable %s is not set", name))
		}
		return value
	})
	object, _ := expanded.(map[string]any) // as config is
	return object, errors.Join(errs...)
}

func expandValue(value any, replace func(string) string) any {
	switch v := value.(type) {
	case string:
		return regexp.MustCompile(`\$\{[^{}]+\}`).ReplaceAllStringFunc(v, replace)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = expandValue(item, replace)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, member := range v {
			object[key] = expandValue(member, replace)
		}
		return object
	}
	return value
}
