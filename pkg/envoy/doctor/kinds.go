package doctor

import "slices"

// notSeen is the code of what a file does not hold.
const notSeen = "not-seen"

// A Kind is one sort of finding.
type Kind struct {
	Code     string
	Severity Severity // of most; a finding tells its own
	Mend     string   // what to write, in Envoy's words
}

// Kinds lists every sort of finding, the worst first.
func Kinds() []Kind {
	return slices.Concat(
		ofSeverity(Absent, absent),
		ofSeverity(Unbound, unbound),
		ofSeverity(Weak, weak),
		ofSeverity(Advice, advice),
	)
}

// A mended is a code with its mend.
type mended struct{ code, mend string }

func ofSeverity(s Severity, of []mended) []Kind {
	var all []Kind
	for _, k := range of {
		all = append(all, Kind{k.code, s, k.mend})
	}
	return all
}

func kindOf(code string) Kind {
	all := Kinds()
	return all[slices.IndexFunc(all, func(k Kind) bool { return k.Code == code })]
}

var absent = []mended{
	{"no-filter", `http_filters:
- name: envoy.filters.http.ext_authz   # before every filter that answers or routes
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
    transport_api_version: V3
    grpc_service: {envoy_grpc: {cluster_name: sallyport}, timeout: 0.5s}
    status_on_error: {code: ServiceUnavailable}
    encode_raw_headers: true
    include_peer_certificate: true`},
	{"no-network-filter", `filters:
- name: envoy.filters.network.ext_authz   # before the filter that passes connections on
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.network.ext_authz.v3.ExtAuthz
    stat_prefix: sallyport
    transport_api_version: V3
    grpc_service: {envoy_grpc: {cluster_name: sallyport}, timeout: 0.5s}
    include_peer_certificate: true`},
	{"disabled-on-route", `remove "disabled: true"; let the policy allow the route, so that there is a record:
routes: [{path: /healthz, public: true}]`},
	{"filter-disabled", `remove "disabled: true" from the filter`},
	{"filter-enabled-fraction", `filter_enabled: {default_value: {numerator: 100, denominator: HUNDRED}}   # or remove it`},
	{"filter-enabled-metadata", `remove filter_enabled_metadata, or add:
deny_at_disable: {runtime_key: sallyport.deny_at_disable, default_value: true}`},
	{"conditional-filter", `put ext_authz into http_filters itself, and let the policy tell the requests apart`},
	{"upgrade-without-check", `remove "filters" from the upgrade, so that it takes http_filters, or put ext_authz first among them`},
	{"answered-before", `put this filter after ext_authz`},
	{"istio-no-policy", `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: sallyport, namespace: NAMESPACE}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: NAME}]   # or selector
  action: CUSTOM
  provider: {name: sallyport}
  rules: [{}]   # every request`},
	{"istio-rules-missing", `rules: [{}]   # every request`},
	{"istio-requests-left-out", `rules: [{}]   # every request; let the policy tell them apart`},
	{"istio-matches-nothing", `the labels, or the name and kind, of an object that is there`},
	{"istio-not-enforced-by-ztunnel", `targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: WAYPOINT}]   # of a waypoint`},
	{"gateway-no-policy", `apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata: {name: sallyport}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: NAME}]
  extAuth:
    grpc: {backendRefs: [{name: sallyport, port: 9191}]}
    timeout: 500ms
    statusOnError: 503`},
	{"gateway-policy-replaced", `extAuth of the other policy, in this one too: the more specific policy replaces the other as a whole`},
}

var unbound = []mended{
	{"failure-mode-allow", `failure_mode_allow: false`},
	{"shadow-mode", `shadow_mode: false`},
	{"timeout-infinite", `timeout: 0.5s`},
	{"route-cache-cleared", `clear_route_cache: false; choose routes by what the client sent, or put this filter before ext_authz`},
	{"changed-after", `put this filter before ext_authz, or have the policy set the header ("headers")`},
	{"upstream-by-header", `cluster: NAME   # or remove the header before the check: early_header_mutation_extensions`},
	{"path-parameters-ignored", `ignore_path_parameters_in_path_matching: false`},
	{"client-cert-header-trusted", `forward_client_cert_details: SANITIZE_SET`},
	{"identity-header-set", `remove it from request_headers_to_add: Sallyport sets it`},
	{"mutations-dropped", `decoder_header_mutation_rules: {disallow_is_error: true}   # or allow these headers by allow_expression`},
	{"headers-hidden", `remove allowed_headers and disallowed_headers, or let these headers through`},
	{"body-not-sent", `with_request_body: {max_request_bytes: 1048576, allow_partial_message: true, pack_as_bytes: true}`},
	{"certificate-not-sent", `include_peer_certificate: true`},
	{"certificate-not-required", `transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
    require_client_certificate: true
    common_tls_context:
      validation_context: {trusted_ca: {filename: /etc/envoy/tls/ca.crt}}`},
	{"certificate-not-verified", `validation_context: {trusted_ca: {filename: /etc/envoy/tls/ca.crt}}   # without trust_chain_verification`},
	{"check-patched", `remove the patch, or show doctor what Envoy has: --envoy-config http://127.0.0.1:15000 (Istio's proxy), :19000 (Envoy Gateway's)`},
	{"istio-dry-run", `remove the annotation istio.io/dry-run`},
}

var weak = []mended{
	{notSeen, `look at what Envoy has: sallyport doctor --envoy-config http://127.0.0.1:9901 (its admin listener)`},
	{"timeout-long", `timeout: 0.5s`},
	{"path-not-normalized", `normalize_path: true`},
	{"slashes-not-merged", `merge_slashes: true`},
	{"escaped-slashes-kept", `path_with_escaped_slashes_action: REJECT_REQUEST   # or request.ambiguousPaths: deny`},
	{"client-address-trusted", `use_remote_address: true
xff_num_trusted_hops: 0   # how many proxies of yours are before this one`},
	{"body-limit-differs", `the same number in both`},
	{"body-as-text", `pack_as_bytes: true`},
	{"code-before", `put this filter after ext_authz, or see to it that it does not answer`},
	{"health-check-before", `put this filter after ext_authz, or on a listener of its own`},
	{"claims-unverified", `extract_only_without_validation: take it out; policy has verified claims in input.tokens`},
	{"code-after", `put this filter before ext_authz`},
	{"plain-text", `transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    common_tls_context:
      tls_certificates: [{certificate_chain: {filename: /etc/envoy/tls/tls.crt}, private_key: {filename: /etc/envoy/tls/tls.key}}]
      validation_context:
        trusted_ca: {filename: /etc/envoy/tls/ca.crt}
        match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: sallyport.example.com}}]`},
	{"server-not-verified", `validation_context:
  trusted_ca: {filename: /etc/envoy/tls/ca.crt}
  match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: sallyport.example.com}}]`},
	{"no-http2", `typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {http2_protocol_options: {connection_keepalive: {interval: 30s, timeout: 5s}}}`},
	{"no-health-check", `health_checks:
- timeout: 1s
  interval: 5s
  no_traffic_interval: 5s
  unhealthy_threshold: 2
  healthy_threshold: 1
  grpc_health_check: {service_name: envoy.service.auth.v3.Authorization}`},
	{"istio-provider-unknown", `meshConfig:
  extensionProviders:
  - name: sallyport
    envoyExtAuthzGrpc: {service: sallyport.sallyport.svc.cluster.local, port: 9191, timeout: 0.5s, statusOnError: "503"}`},
	{"gateway-filter-order", `remove ext_authz from filterOrder, or put it before filters that answer or route`},
}

var advice = []mended{
	{"timeout-default", `timeout: 0.5s`},
	{"filter-enabled-runtime", `remove filter_enabled, or see to who can set runtime keys (the admin listener can)`},
	{"status-on-error", `status_on_error: {code: ServiceUnavailable}`},
	{"headers-joined", `encode_raw_headers: true`},
	{"body-refused-unchecked", `allow_partial_message: true`},
	{"bound-tokens-refused", `include_peer_certificate: true`},
	{"underscores-allowed", `common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST}`},
	{"case-insensitive-match", `match: {case_sensitive: true}   # or compare lower(path) in the policy`},
	{"path-rewritten", `nothing, if the policy speaks of the path that clients send`},
	{"no-keepalive", `http2_protocol_options: {connection_keepalive: {interval: 30s, timeout: 5s}}`},
	{"connected-early", `upstream_connect_mode: ON_DOWNSTREAM_DATA
max_early_data_bytes: 65536   # Envoy 1.37 and later`},
	{"istio-request-authentication", `nothing, as a second look: it runs after the check, so the policy must not rely on it`},
}
