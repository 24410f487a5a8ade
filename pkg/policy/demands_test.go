package policy_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/pkg/policy"
)

func TestEnvironment(t *testing.T) {
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1"}, nil))
	t.Setenv("BUNDLE_SERVER", r.URL)
	_, j := started(t, policy.Config{OPA: opa("${BUNDLE_SERVER}", nil, nil)})
	j.await(t, "policy loaded revision=r1")
}

func TestOPAConfigurationRefused(t *testing.T) {
	tests := map[string]struct {
		config map[string]any
		want   string
	}{
		"a service that is not there": {
			map[string]any{"bundles": map[string]any{"authz": map[string]any{"service": "x"}}},
			`invalid configuration for bundle "authz": service name "x" not found`,
		},
		"an option that is not there": {opa("http://127.0.0.1", map[string]any{"colour": "x"}, nil), `unknown configuration option "bundles.authz.colour"`},
		"a section that is not there": {map[string]any{"bundels": map[string]any{}}, `unknown configuration option "bundels"`},
		"a key that is not there": {
			opa("http://127.0.0.1", map[string]any{"signing": map[string]any{"keyid": "k2"}}, map[string]any{"keys": keys(newKey(t, "k1"))}), "k2"},
		"a store on disk":      {map[string]any{"storage": map[string]any{"disk": map[string]any{}}}, "storage is not supported"},
		"the peer's plugin":    {map[string]any{"plugins": map[string]any{"envoy_ext_authz_grpc": map[string]any{}}}, "its addr is listen.grpc here"},
		"an unset variable":    {opa("${SALLYPORT_UNSET}", nil, nil), "the environment variable SALLYPORT_UNSET is not set"},
		"caches without sense": {map[string]any{"caching": map[string]any{"inter_query_builtin_value_cache": map[string]any{"max_num_entries": -1}}}, "max_num_entries"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			config := policy.Config{OPA: tt.config}
			for do, err := range map[string]error{
				"new":      func() error { _, err := policy.New(context.Background(), config); return err }(),
				"validate": policy.Validate(context.Background(), config),
			} {
				of, ok := errors.AsType[*policy.ConfigError](err)
				if !ok || of.Path != "opa" || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: got %v, want a mistake of opa with %q", do, err, tt.want)
				}
			}
		})
	}
}

// TestValidateStartsNothing has a server that must not be asked.
func TestValidateStartsNothing(t *testing.T) {
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1"}, nil))
	if err := policy.Validate(t.Context(), policy.Config{OPA: opa(r.URL, nil, map[string]any{"status": map[string]any{"service": "registry"}})}); err != nil {
		t.Fatal(err)
	}
	if len(r.answers)+len(r.statuses) > 0 {
		t.Error("the server was asked")
	}
}
