package doctor_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/envoy/doctor"
)

// open is a bootstrap whose only fault is in its route; %s stands for what a test adds.
const open = `static_resources:
  listeners:
  - name: ingress
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          use_remote_address: true
          normalize_path: true
          merge_slashes: true
          common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST}
          route_config:
            virtual_hosts:
            - name: shop
              domains: ["*"]
              routes:
              - match: {path: /healthz}
                typed_per_filter_config:
                  authz: {"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}
              - match: {prefix: /}
          http_filters:
          - name: authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              grpc_service: {envoy_grpc: {cluster_name: sallyport}, timeout: 0.5s}
              status_on_error: {code: ServiceUnavailable}
              encode_raw_headers: true
  clusters:
  - name: sallyport
    typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {explicit_http_config: {http2_protocol_options: {connection_keepalive: {}}}}}
    health_checks: [{}]
    load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: /run/sallyport.sock}}}}]}]}
`

// lines are the findings as CODE LINE ROUTE.
func lines(r doctor.Report) []string {
	var all []string
	for _, f := range r.Findings {
		route := ""
		if len(f.Routes) > 0 {
			route = f.Routes[0].String()
		}
		number, _ := json.Marshal(f.Place.Line)
		all = append(all, strings.TrimSpace(f.Code+" "+string(number)+" "+route))
	}
	return all
}

func TestSpellings(t *testing.T) {
	const off = "disabled-on-route "
	snake := strings.NewReplacer("typed_per_filter_config", "typedPerFilterConfig", "http_filters", "httpFilters", "typed_config", "typedConfig",
		"virtual_hosts", "virtualHosts", "filter_chains", "filterChains", "normalize_path", "normalizePath")
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"as Envoy's documentation has it", open, []string{off + "20 ingress > shop > path /healthz"}},
		{"as protobuf's JSON mapping has it", snake.Replace(open), []string{off + "20 ingress > shop > path /healthz"}},
		{"with an anchor and a merge key", strings.Replace(open, `authz: {"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}`,
			"authz: &off {\"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}\n              - match: {path: /b}\n                typed_per_filter_config: {authz: *off}\n              - match: {path: /c}\n                typed_per_filter_config: {authz: {<<: [*off], disabled: false}}", 1),
			[]string{off + "20 ingress > shop > path /healthz", off + "20 ingress > shop > path /b"}}, // the line is that of the anchor
		{"as a TypedStruct", strings.Replace(open, `{"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}`,
			`{"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, value: {disabled: true}}`, 1),
			[]string{off + "20 ingress > shop > path /healthz"}},
		{"from a newer Envoy", strings.Replace(open, "normalize_path: true", "normalize_path: true\n          normalise_paths_harder: {by: [a, 1, null]}", 1), []string{off + "21 ingress > shop > path /healthz"}},
		{"in several documents", "a: 1\n---\n" + open, []string{off + "22 ingress > shop > path /healthz"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, lines(examine(t, tc.text, doctor.Needs{}))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestNotSeen has what a bootstrap leaves to a control plane.
func TestNotSeen(t *testing.T) {
	replaced := func(old, with string) string {
		if !strings.Contains(open, old) {
			t.Fatalf("there is no %q", old)
		}
		return strings.Replace(open, old, with, 1)
	}
	_, table, _ := strings.Cut(open, "          route_config:\n")
	table, _, _ = strings.Cut(table, "          http_filters:\n")
	const off = "disabled-on-route "
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"listeners and clusters", open + "dynamic_resources:\n  lds_config: {ads: {}}\n  cds_config: {ads: {}}\n", []string{off + "20 ingress > shop > path /healthz", "not-seen 35", "not-seen 36"}},
		{"routes", replaced("          route_config:\n"+table, "          rds: {route_config_name: a}\n"), []string{"not-seen 13 ingress > routes that are not in this file"}},
		{"routes of scopes", replaced("          route_config:\n"+table, "          scoped_routes: {name: a, scoped_rds: {}}\n"), []string{"not-seen 7 ingress > routes that are not in this file"}},
		{"routes of one scope of two", replaced("          route_config:\n"+table, "          scoped_routes: {scoped_route_configurations_list: {scoped_route_configurations: [{route_configuration_name: a}, {route_configuration: {virtual_hosts: [{name: shop, routes: [{match: {prefix: /}}]}]}}]}}\n"), []string{"not-seen 13 ingress > routes that are not in this file"}},
		{"virtual hosts", replaced("            virtual_hosts:\n", "            vhds: {}\n            virtual_hosts:\n"), []string{off + "21 ingress > shop > path /healthz", "not-seen 14 ingress"}},
		{"the filter", replaced("            typed_config:\n              \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz\n", "            config_discovery: {}\n            other:\n"), []string{"not-seen 23 ingress > shop > path /healthz"}},
		{"the cluster", replaced("  - name: sallyport\n", "  - name: other\n"), []string{off + "20 ingress > shop > path /healthz", "not-seen 26 ingress > shop > prefix /"}},
		{"filter chains", replaced("    filter_chains:\n", "    fcds_config: {}\n    filter_chains:\n"), []string{off + "21 ingress > shop > path /healthz", "not-seen 4 ingress"}},
		{"a network filter", replaced("    - filters:\n      - name: hcm\n        typed_config:\n", "    - filters:\n      - name: hcm\n        config_discovery: {}\n        other:\n"), []string{"not-seen 6 ingress"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, lines(examine(t, tc.text, doctor.Needs{}))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIgnore(t *testing.T) {
	sources := read(t, open)
	for _, tc := range []struct {
		ignore doctor.Ignore
		want   int
	}{
		{doctor.Ignore{Code: "disabled-on-route"}, 0},
		{doctor.Ignore{Code: "disabled-on-route", Where: "/healthz"}, 0},
		{doctor.Ignore{Code: "disabled-on-route", Where: "/other"}, 1},
		{doctor.Ignore{Code: "no-filter"}, 1},
	} {
		if got := doctor.Examine(sources, doctor.Options{Ignore: []doctor.Ignore{tc.ignore}}); len(got.Findings) != tc.want || got.Routes != 2 {
			t.Errorf("%+v: %+v", tc.ignore, got)
		}
	}
	other := doctor.Examine(sources, doctor.Options{Cluster: "other"})
	if diff := cmp.Diff([]string{"no-filter 23 ingress > shop > path /healthz"}, lines(other)); diff != "" {
		t.Error(diff)
	}
}

// TestDumpIsFetched asks an admin listener, and takes nothing else for one.
func TestDumpIsFetched(t *testing.T) {
	var asked []string
	answer := `{"configs": []}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.RequestURI)
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/config_dump", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	if sources, err := doctor.Read(t.Context(), server.URL); err != nil || len(sources) != 1 {
		t.Errorf("%d sources, %v", len(sources), err)
	}
	if _, err := doctor.Read(t.Context(), server.URL+"/moved"); err == nil || !strings.Contains(err.Error(), "302 Found: is it Envoy's admin listener?") {
		t.Errorf("a redirect: %v", err)
	}
	answer = "<html></html>"
	if _, err := doctor.Read(t.Context(), strings.Replace(server.URL, "http://", "http://user:secret@", 1)+"/"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("no dump: %v", err)
	}
	if diff := cmp.Diff([]string{"/config_dump?include_eds", "/moved", "/config_dump?include_eds"}, asked); diff != "" {
		t.Error(diff)
	}
}

// TestSecretsAreNotRepeated puts one into every value of the file that no finding is about.
func TestSecretsAreNotRepeated(t *testing.T) {
	text := strings.NewReplacer(
		"timeout: 0.5s}", "timeout: 60s, initial_metadata: [{key: authorization, value: hunter2}]}",
		"- match: {prefix: /}", `- match: {prefix: /}
                request_headers_to_add: [{header: {key: x-user, value: hunter2}}]
                typed_per_filter_config: {authz: {check_settings: {context_extensions: {a: hunter2}}}}`,
	).Replace(open)
	report := examine(t, text, doctor.Needs{IdentityHeaders: []string{"x-user"}})
	shown, err := json.Marshal(report)
	if err != nil || strings.Contains(string(shown), "hunter2") {
		t.Errorf("%s, %v", shown, err)
	}
	if diff := cmp.Diff([]string{"disabled-on-route 20 ingress > shop > path /healthz", "identity-header-set 22 ingress > shop > prefix /", "timeout-long 28 ingress > shop > prefix /"}, lines(report)); diff != "" {
		t.Error(diff)
	}
}

func read(t *testing.T, text string) []doctor.Source {
	t.Helper()
	file := filepath.Join(t.TempDir(), "given.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sources, err := doctor.Read(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

func examine(t *testing.T, text string, needs doctor.Needs) doctor.Report {
	t.Helper()
	return doctor.Examine(read(t, text), doctor.Options{Needs: needs})
}

// FuzzExamine takes any text: it is read or refused, and never ends the process.
func FuzzExamine(f *testing.F) {
	f.Add(open)
	f.Add("configs: [{static_listeners: [{listener: {filter_chains: [{filters: [{}]}]}}]}]")
	f.Add("static_resources: &a {listeners: [*a]}")
	f.Add(`{"static_resources": {"listeners": [null, 1, "a", [], {}]}}`)
	f.Add("kind: HTTPRoute\napiVersion: gateway.networking.k8s.io/v1\nspec: {parentRefs: [null]}")
	f.Add("kind: AuthorizationPolicy\napiVersion: security.istio.io/v1\nspec: {action: CUSTOM, rules: [null]}")
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "given.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sources, err := doctor.Read(t.Context(), file)
		if err == nil {
			doctor.Examine(sources, doctor.Options{Needs: doctor.Needs{Known: true, FlagsAmbiguousPaths: true, Reads: []string{"input.parsed_body", "input.source.principal"}}})
		}
	})
}
