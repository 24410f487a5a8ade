package doctor_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/envoy/doctor"
)

// A planted fault is a change of a sound file of testdata, and the finding that it must give.
type planted struct {
	name   string
	old    string // "": more is added
	with   string
	needs  doctor.Needs
	code   string // "": none
	object string
	marker string // in the line of the finding
	also   string // the code of what it must give besides
}

const (
	ingress = "Gateway istio-system/ingress"
	orders  = "HTTPRoute shop/orders"
	more    = "---\n"
)

func certificateReads() doctor.Needs {
	return doctor.Needs{Known: true, Reads: []string{"input.attributes.source.certificate"}}
}

func principalReads() doctor.Needs {
	return doctor.Needs{Known: true, Reads: []string{"input.source.principal"}}
}

func TestIstio(t *testing.T) {
	const (
		rules    = "  rules:\n  - {}\n"
		paths    = "DECODE_AND_MERGE_SLASHES"
		body     = "        includeRequestBodyInCheck: {maxRequestBytes: 1048576, allowPartialMessage: true, packAsBytes: true}\n"
		envoy    = more + "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: patch, namespace: istio-system}\nspec:\n  configPatches:\n  - applyTo: HTTP_FILTER\n"
		patched  = "EnvoyFilter istio-system/patch"
		waypoint = more + "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: waypoint, namespace: shop}\nspec: {gatewayClassName: istio-waypoint}\n"
		ambient  = more + "apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system, labels: {istio.io/dataplane-mode: ambient}}\n"
	)
	flags := doctor.Needs{FlagsAmbiguousPaths: true}
	plant(t, "istio.yaml", []planted{
		{name: "sound"},
		{name: "no policy", old: "action: CUSTOM", with: "action: ALLOW", code: "istio-no-policy", object: ingress, marker: "metadata: {name: ingress, "},
		{name: "a waypoint that no policy names", with: waypoint, code: "istio-no-policy", object: "Gateway shop/waypoint", marker: "metadata: {name: waypoint"},
		{name: "a waypoint by its class", old: "  selector:\n    matchLabels: {istio: ingressgateway}\n", with: "  targetRefs: [{kind: GatewayClass, name: istio-waypoint}]\n", code: "istio-no-policy", object: ingress, marker: "metadata: {name: ingress, ", also: "istio-matches-nothing"},
		{name: "another namespace", old: "  namespace: istio-system\nspec:", with: "  namespace: shop\nspec:", code: "istio-no-policy", object: ingress, marker: "metadata: {name: ingress, ", also: "istio-matches-nothing"},
		{name: "a selector of nothing", old: "matchLabels: {istio: ingressgateway}", with: "matchLabels: {istio: ingresgateway}", code: "istio-matches-nothing", object: "AuthorizationPolicy istio-system/sallyport", marker: "  selector:", also: "istio-no-policy"},
		{name: "no selector", old: "  selector:\n    matchLabels: {istio: ingressgateway}\n", with: ""},
		{name: "no rules", old: rules, with: "", code: "istio-rules-missing", object: ingress, marker: "spec:\n  selector:"},
		{name: "a hole", old: "  - {}\n", with: "  - to:\n    - operation:\n        notPaths: [/healthz]\n", code: "istio-requests-left-out", object: ingress, marker: "notPaths"},
		{name: "some paths", old: "  - {}\n", with: "  - to: [{operation: {paths: [/admin]}}]\n", code: "istio-requests-left-out", object: ingress, marker: "paths: [/admin]"},
		{name: "some sources", old: "  - {}\n", with: "  - from: [{source: {ipBlocks: [10.0.0.0/8]}}]\n", code: "istio-requests-left-out", object: ingress, marker: "from:"},
		{name: "some paths and all", old: "  - {}\n", with: "  - to: [{operation: {paths: [/admin]}}]\n  - {}\n"},
		{name: "a provider that is not there", old: "provider: {name: sallyport}", with: "provider: {name: salyport}", code: "istio-provider-unknown", object: ingress, marker: "provider:"},
		{name: "a provider that speaks HTTP", old: "envoyExtAuthzGrpc:", with: "envoyExtAuthzHttp:", code: "istio-provider-unknown", object: ingress, marker: "    - name: sallyport"},
		{name: "dry run", old: "  namespace: istio-system\nspec:", with: "  namespace: istio-system\n  annotations: {istio.io/dry-run: \"true\"}\nspec:", code: "istio-dry-run", object: ingress, marker: "istio.io/dry-run"},
		{name: "ambient", with: ambient, code: "istio-not-enforced-by-ztunnel", object: "Namespace istio-system", marker: "  selector:"},
		{name: "fails open", old: "timeout: 0.5s\n", with: "timeout: 0.5s\n        failOpen: true\n", code: "failure-mode-allow", object: ingress, marker: "failOpen"},
		{name: "no timeout", old: "        timeout: 0.5s\n", with: "", code: "timeout-long", object: ingress, marker: "envoyExtAuthzGrpc:"},
		{name: "a timeout of nothing", old: "timeout: 0.5s", with: "timeout: 0s", code: "timeout-infinite", object: ingress, marker: "timeout: 0s"},
		{name: "no status", old: "        statusOnError: \"503\"\n", with: "", code: "status-on-error", object: ingress, marker: "envoyExtAuthzGrpc:"},
		{name: "clears the route", old: "timeout: 0.5s\n", with: "timeout: 0.5s\n        clearRouteCache: true\n", code: "route-cache-cleared", object: ingress, marker: "clearRouteCache"},
		{name: "no body", old: body, with: "", needs: doctor.Needs{Reads: []string{"input.parsed_body"}}, code: "body-not-sent", object: ingress, marker: "envoyExtAuthzGrpc:"},
		{name: "another limit", needs: doctor.Needs{MaxBodyBytes: 1000}, code: "body-limit-differs", object: ingress, marker: "includeRequestBodyInCheck"},
		{name: "text", old: ", packAsBytes: true", with: "", code: "body-as-text", object: ingress, marker: "includeRequestBodyInCheck"},
		{name: "whole bodies", old: ", allowPartialMessage: true", with: "", code: "body-refused-unchecked", object: ingress, marker: "includeRequestBodyInCheck"},
		{name: "a certificate", needs: certificateReads(), code: "certificate-not-sent", object: ingress, marker: "envoyExtAuthzGrpc:"},
		{name: "paths as they come", old: paths, with: "NONE", code: "path-not-normalized", object: "AuthorizationPolicy istio-system/sallyport", marker: "normalization: NONE"},
		{name: "paths by default", old: paths, with: "BASE", code: "slashes-not-merged", object: "AuthorizationPolicy istio-system/sallyport", marker: "normalization: BASE"},
		{name: "escaped slashes", old: paths, with: "MERGE_SLASHES", needs: flags, code: "escaped-slashes-kept", object: "AuthorizationPolicy istio-system/sallyport", marker: "normalization: MERGE"},
		{name: "no mesh config", old: "kind: ConfigMap", with: "kind: Secret", code: "not-seen", object: ingress, marker: "provider:"},
		{name: "tokens are verified later", with: more + "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: jwt, namespace: istio-system}\nspec: {jwtRules: [{issuer: a}]}\n", code: "istio-request-authentication", object: "RequestAuthentication istio-system/jwt", marker: "spec: {jwtRules"},
		{name: "removed", with: envoy + "    match: {listener: {filterChain: {filter: {subFilter: {name: envoy.filters.http.ext_authz}}}}}\n    patch: {operation: REMOVE}\n", code: "check-patched", object: patched, marker: "REMOVE"},
		{name: "patched open", with: envoy + "    patch: {operation: MERGE, value: {typed_config: {failure_mode_allow: true}}}\n", code: "check-patched", object: patched, marker: "failure_mode_allow"},
		{name: "patched off", with: envoy + "    patch: {value: {typed_per_filter_config: {envoy.filters.http.ext_authz: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, disabled: true}}}}\n", code: "check-patched", object: patched, marker: "disabled: true"},
		{name: "patched elsewhere", with: envoy + "    match: {listener: {filterChain: {filter: {subFilter: {name: envoy.filters.http.cors}}}}}\n    patch: {operation: REMOVE}\n"},
	})
}

func TestGateway(t *testing.T) {
	const (
		target = "  - {group: gateway.networking.k8s.io, kind: Gateway, name: eg}\n"
		auth   = "    timeout: 500ms\n"
		policy = more + "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {name: cors, namespace: shop}\nspec:\n  cors: {allowOrigins: [\"*\"]}\n"
		own    = policy + "  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders"
	)
	client := "ClientTrafficPolicy infra/clients"
	plant(t, "gateway.yaml", []planted{
		{name: "sound"},
		{name: "no policy", old: "kind: SecurityPolicy", with: "kind: BackendTrafficPolicy", code: "gateway-no-policy", object: orders, marker: "spec:\n  parentRefs:\n  - {name: eg, namespace: infra}"},
		{name: "of another Gateway", old: target, with: strings.Replace(target, "name: eg", "name: other", 1), code: "gateway-no-policy", object: orders, marker: "spec:\n  parentRefs:\n  - {name: eg, namespace: infra}"},
		{name: "over HTTP", old: "    grpc:\n", with: "    http:\n", code: "gateway-no-policy", object: orders, marker: "  extAuth:"},
		{name: "replaced", with: own + "}]\n", code: "gateway-policy-replaced", object: orders, marker: "spec:\n  cors"},
		{name: "replaced for a rule", with: own + ", sectionName: all}]\n", code: "gateway-policy-replaced", object: orders + " > rule all", marker: "spec:\n  cors"},
		{name: "merged", with: own + "}]\n  mergeType: StrategicMerge\n"},
		{name: "by labels", old: "  targetRefs:\n" + target, with: "  targetSelectors: [{kind: Gateway, matchLabels: {}}]\n"},
		{name: "of a Gateway that was not given", old: "kind: Gateway\n", with: "kind: Service\n", code: "not-seen", object: orders, marker: "  - {name: eg, namespace: infra}"},
		{name: "connections", with: more + "apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: TCPRoute\nmetadata: {name: db, namespace: shop}\nspec: {parentRefs: [{name: eg}]}\n", code: "no-network-filter", object: "TCPRoute shop/db", marker: "spec: {parentRefs: [{name: eg}]}"},
		{name: "fails open", old: auth, with: auth + "    failOpen: true\n", code: "failure-mode-allow", object: orders, marker: "failOpen"},
		{name: "no timeout", old: auth, with: "", code: "timeout-long", object: orders, marker: "  extAuth:"},
		{name: "a long timeout", old: "500ms", with: "1m", code: "timeout-long", object: orders, marker: "timeout: 1m"},
		{name: "no status", old: "    statusOnError: 503\n", with: "", code: "status-on-error", object: orders, marker: "  extAuth:"},
		{name: "recomputed", old: auth, with: auth + "    recomputeRoute: true\n", code: "route-cache-cleared", object: orders, marker: "recomputeRoute"},
		{name: "hidden headers", old: auth, with: auth + "    headersToExtAuth: [cookie]\n", code: "headers-hidden", object: orders, marker: "headersToExtAuth"},
		{name: "the header that is read", old: auth, with: auth + "    headersToExtAuth: [Authorization]\n"},
		{name: "no body", old: "    bodyToExtAuth: {maxRequestBytes: 1048576}\n", needs: doctor.Needs{Reads: []string{"input.parsed_body"}}, code: "body-not-sent", object: orders, marker: "  extAuth:"},
		{name: "another limit", needs: doctor.Needs{MaxBodyBytes: 1000}, code: "body-limit-differs", object: orders, marker: "maxRequestBytes"},
		{name: "a certificate", needs: certificateReads(), code: "certificate-not-sent", object: orders, marker: "  extAuth:"},
		{name: "a principal", needs: principalReads(), code: "certificate-not-required", object: client, marker: "spec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: eg}]\n  path"},
		{name: "no health", old: "      backendSettings: {healthCheck: {active: {type: GRPC}}}\n", code: "no-health-check", object: orders, marker: "    grpc:"},
		{name: "plain text", old: "kind: Service, name: sallyport", with: "kind: Service, name: other", code: "plain-text", object: orders, marker: "      - {name: sallyport, port"},
		{name: "slashes", old: "escapedSlashesAction: UnescapeAndRedirect", with: "disableMergeSlashes: true", code: "slashes-not-merged", object: client, marker: "disableMergeSlashes"},
		{name: "escaped slashes", old: "UnescapeAndRedirect", with: "KeepUnchanged", needs: doctor.Needs{FlagsAmbiguousPaths: true}, code: "escaped-slashes-kept", object: client, marker: "KeepUnchanged"},
		{name: "certificates of clients", old: "  path:\n", with: "  headers: {xForwardedClientCert: {mode: AlwaysForwardOnly}}\n  path:\n", code: "client-cert-header-trusted", object: client, marker: "AlwaysForwardOnly"},
		{name: "underscores", old: "  path:\n", with: "  headers: {withUnderscoresAction: Allow}\n  path:\n", code: "underscores-allowed", object: client, marker: "withUnderscoresAction"},
		{name: "code first", old: "envoy.filters.http.jwt_authn, before", with: "envoy.filters.http.lua, before", code: "gateway-filter-order", object: "EnvoyProxy infra/proxy", marker: "before: envoy"},
		{name: "the check last", old: "{name: envoy.filters.http.jwt_authn, before: envoy.filters.http.ext_authz}", with: "{name: envoy.filters.http.ext_authz, after: envoy.filters.http.wasm}", code: "gateway-filter-order", object: "EnvoyProxy infra/proxy", marker: "after: envoy"},
		{name: "patched", with: more + "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyPatchPolicy\nmetadata: {name: p, namespace: infra}\nspec: {jsonPatches: [{operation: {op: replace, path: /a, value: {failure_mode_allow: true}}}]}\n", code: "check-patched", object: "EnvoyPatchPolicy infra/p", marker: "failure_mode_allow"},
	})
}

// plant makes one change at a time, and looks for its finding alone.
func plant(t *testing.T, file string, faults []planted) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			text := string(raw)
			switch {
			case f.old == "":
				text += f.with
			case !strings.Contains(text, f.old):
				t.Fatalf("the file has no %q", f.old)
			default:
				text = strings.Replace(text, f.old, f.with, 1)
			}
			found := examine(t, text, f.needs).Findings
			codes, want := map[string]bool{}, map[string]bool{}
			var first *doctor.Finding
			for i, one := range found {
				codes[one.Code] = true
				if one.Code == f.code && first == nil {
					first = &found[i]
				}
			}
			for _, code := range []string{f.code, f.also} {
				if code != "" {
					want[code] = true
				}
			}
			if diff := cmp.Diff(want, codes); diff != "" {
				t.Fatalf("%s\n%+v", diff, found)
			}
			if f.code == "" {
				return
			}
			if diff := cmp.Diff(f.object, first.Routes[0].String()); diff != "" {
				t.Error(diff)
			}
			at := strings.Index(text, f.marker)
			if at < 0 {
				t.Fatalf("the file has no %q", f.marker)
			}
			if want := 1 + strings.Count(text[:at], "\n"); first.Place.Line != want {
				t.Errorf("line %d (%s), want %d", first.Place.Line, first.Place.Path, want)
			}
			if first.Mend == "" {
				t.Error("there is no mend")
			}
		})
	}
}
