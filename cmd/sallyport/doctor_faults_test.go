package main

import (
	"strings"
	"time"

	"github.com/sallyport/sallyport/deploy"
	"github.com/sallyport/sallyport/pkg/envoy/doctor"
)

// A fault is a change of deploy/envoy/envoy.yaml, and the one finding that it must give.
type fault struct {
	name   string // of the listener
	edits  []edit
	needs  doctor.Needs
	code   string            // "": it is none
	marker string            // what the line of the finding has
	route  string            // without the listener; "": the one of the sound file
	passes bool              // a request without a token reaches the upstream
	header map[string]string // of that request
	since  string            // of Envoy
	tls    bool              // the listener speaks TLS, so the request is not sent
	plain  bool              // the listener does not speak TLS, so the connection is not made
	inDump string            // the code in the dump, where it is not-seen in the file
}

// Places in the sound file.
const (
	routeLine   = "- match: {prefix: /}\n                route: {cluster: upstream}"
	hostLine    = "check_settings: {context_extensions: {virtual_host: default}}"
	tableLine   = "            name: routes\n"
	filterLine  = "          - name: envoy.filters.http.ext_authz\n"
	routerLine  = "          - name: envoy.filters.http.router\n"
	filtersType = "type.googleapis.com/envoy.extensions.filters.http."
	perRoute    = `{"@type": ` + filtersType + `ext_authz.v3.ExtAuthzPerRoute, `
	typedFilter = "            typed_config:\n              \"@type\": " + filtersType + "ext_authz.v3.ExtAuthz\n"
	off         = "typed_per_filter_config: {envoy.filters.http.ext_authz: " + perRoute + "disabled: true}}"
	hostConfig  = `              typed_per_filter_config:
                envoy.filters.http.ext_authz:
                  "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                  check_settings: {context_extensions: {virtual_host: default}}
`
	aKey      = `{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}` // RFC 7517, appendix A.1
	failsOpen = "failure_mode_allow: false"
)

// onRoute adds fields to the route.
func onRoute(fields string) []edit {
	return []edit{{routeLine, routeLine + "\n                " + fields}}
}

// inFilter adds a setting to the filter.
func inFilter(setting string) []edit { return []edit{{failsOpen, setting}} }

// inManager adds a setting to the connection manager.
func inManager(setting string) []edit {
	return []edit{{"          use_remote_address: true\n", "          use_remote_address: true\n          " + setting + "\n"}}
}

// filterBefore and filterAfter put another filter beside ext_authz.
func filterBefore(name, config string) []edit {
	return []edit{{filterLine, "          - {name: " + name + `, typed_config: {"@type": ` + filtersType + config + "}}\n" + filterLine}}
}

func filterAfter(name, config string) []edit {
	return []edit{{routerLine, "          - {name: " + name + `, typed_config: {"@type": ` + filtersType + config + "}}\n" + routerLine}}
}

func reads(parts ...string) doctor.Needs { return doctor.Needs{Known: true, Reads: parts} }

func plantedFaults() []fault {
	var all []fault
	for _, some := range [][]fault{absentFaults(), settingFaults(), orderFaults(), managerFaults(), headerFaults(), bodyFaults(), certificateFaults(), clusterFaults(), discoveryFaults()} {
		all = append(all, some...)
	}
	return all
}

func absentFaults() []fault {
	renamed := edit{"          - name: envoy.filters.http.ext_authz\n            typed_config:\n              \"@type\": " + filtersType + "ext_authz.v3.ExtAuthz\n",
		"          - name: other\n            typed_config:\n              \"@type\": " + filtersType + "ext_authz.v3.ExtAuthz\n"}
	const (
		check = `{name: authz, typed_config: {"@type": ` + filtersType + `ext_authz.v3.ExtAuthz, transport_api_version: V3, grpc_service: {envoy_grpc: {cluster_name: sallyport}, timeout: 0.5s}, status_on_error: {code: ServiceUnavailable}, encode_raw_headers: true, include_peer_certificate: true}}`
		input = `{name: input, typed_config: {"@type": type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x-skip}}`
	)
	wrapped := func(extension, action string) []edit { // in the place of the filter, which is off
		return []edit{{hostConfig, ""}, {filterLine, `          - name: wrapped
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher
              extension_config: ` + extension + `
              xds_matcher: {matcher_tree: {input: ` + input + `, exact_match_map: {map: {"yes": {action: ` + action + "}}}}}\n" + filterLine + "            disabled: true\n"}}
	}
	composite := wrapped(`{name: composite, typed_config: {"@type": `+filtersType+`composite.v3.Composite}}`,
		`{name: act, typed_config: {"@type": `+filtersType+`composite.v3.ExecuteFilterAction, typed_config: `+check+`}}`)
	_, filter, _ := strings.Cut(deploy.Envoy, filterLine)
	filter, _, _ = strings.Cut(filter, routerLine)
	skipped := wrapped(check, `{name: skip, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.common.matcher.action.v3.SkipFilter}}`)
	return []fault{
		{name: "disabled-on-a-route", edits: onRoute(off), code: "disabled-on-route", marker: "disabled: true", passes: true},
		{name: "disabled-on-a-virtual-host", edits: []edit{{hostLine, "disabled: true"}}, code: "disabled-on-route", marker: "disabled: true", passes: true},
		{name: "disabled-in-the-table", edits: []edit{{hostConfig, ""}, {tableLine, tableLine + "            " + off + "\n"}}, code: "disabled-on-route", marker: "disabled: true", passes: true},
		{name: "disabled-in-the-table-and-taken-back", edits: []edit{{tableLine, tableLine + "            " + off + "\n"}}},
		{name: "disabled-on-a-weighted-cluster", edits: []edit{{"route: {cluster: upstream}", "route: {weighted_clusters: {clusters: [{name: upstream, weight: 1, " + off + "}]}}"}},
			code: "disabled-on-route", marker: "disabled: true", route: "default > prefix / > weighted cluster upstream", passes: true},
		{name: "disabled-by-filter-config", edits: onRoute(`typed_per_filter_config: {envoy.filters.http.ext_authz: {"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}}`),
			code: "disabled-on-route", marker: "disabled: true", passes: true},
		{name: "disabled-for-one-of-two", edits: []edit{{"              - match: {prefix: /}\n", "              - {match: {path: /orders/7}, direct_response: {status: 200}, " + off + "}\n              - match: {prefix: /}\n"}},
			code: "disabled-on-route", marker: "disabled: true", route: "default > path /orders/7", passes: true},
		{name: "off-in-the-chain", edits: []edit{{hostConfig, ""}, {filterLine, filterLine + "            disabled: true\n"}}, code: "filter-disabled", marker: "disabled: true", passes: true},
		{name: "off-in-the-chain-and-on-for-the-host", edits: []edit{{filterLine, filterLine + "            disabled: true\n"}}},
		{name: "spoken-of-by-another-name", edits: append(onRoute(off), renamed)}, // the route's word is for no filter
		{name: "a-fraction", edits: inFilter("filter_enabled: {default_value: {numerator: 0, denominator: HUNDRED}}"), code: "filter-enabled-fraction", marker: "filter_enabled:", passes: true},
		{name: "a-fraction-or-denied", edits: inFilter("filter_enabled: {default_value: {numerator: 0}}\n              deny_at_disable: {runtime_key: a.b, default_value: true}")},
		{name: "a-runtime-key", edits: inFilter("filter_enabled: {runtime_key: a.b, default_value: {numerator: 1000000, denominator: MILLION}}"), code: "filter-enabled-runtime", marker: "filter_enabled:"},
		{name: "by-metadata", edits: inFilter("filter_enabled_metadata: {filter: other, path: [{key: a}], value: {bool_match: true}}"), code: "filter-enabled-metadata", marker: "filter_enabled_metadata:", passes: true},
		{name: "skipped-by-a-header", edits: skipped, code: "conditional-filter", marker: "xds_matcher:", passes: true, header: map[string]string{"X-Skip": "yes"}},
		{name: "checked-for-a-header", edits: composite, code: "conditional-filter", marker: "xds_matcher:", passes: true},
		{name: "no-filter-at-all", edits: []edit{{hostConfig, ""}, {filterLine + filter, ""}}, code: "no-filter", marker: "http_filters:", passes: true},
		{name: "an-upgrade", edits: inManager(`upgrade_configs: [{upgrade_type: websocket, filters: [{name: envoy.filters.http.router, typed_config: {"@type": ` + filtersType + `router.v3.Router}}]}]`),
			code: "upgrade-without-check", marker: "upgrade_configs:", passes: true, header: map[string]string{"Connection": "Upgrade", "Upgrade": "websocket"}},
		{name: "a-redirect-is-checked", edits: []edit{{"route: {cluster: upstream}", "redirect: {path_redirect: /elsewhere}"}}},
		{name: "an-answer-is-checked", edits: []edit{{"route: {cluster: upstream}", "direct_response: {status: 200}"}}},
	}
}

func settingFaults() []fault {
	return []fault{
		{name: "fails-open", edits: []edit{{failsOpen, "failure_mode_allow: true"}, {"port_value: 9191}", "port_value: 9999}"}}, code: "failure-mode-allow", marker: "failure_mode_allow: true", passes: true},
		{name: "fails-closed", edits: []edit{{"port_value: 9191}", "port_value: 9999}"}}},
		{name: "in-the-shadow", edits: inFilter("shadow_mode: true"), code: "shadow-mode", marker: "shadow_mode:", passes: true, since: "1.38"},
		{name: "waits-for-ever", edits: []edit{{"timeout: 0.5s\n              # No", "timeout: 0s\n              # No"}}, code: "timeout-infinite", marker: "timeout: 0s"},
		{name: "waits-long", edits: []edit{{"timeout: 0.5s\n              # No", "timeout: 600s\n              # No"}}, code: "timeout-long", marker: "timeout: 600s"},
		{name: "waits-long-and-may", edits: []edit{{"timeout: 0.5s\n              # No", "timeout: 8s\n              # No"}}, needs: doctor.Needs{Timeout: 10 * time.Second}},
		{name: "does-not-say", edits: []edit{{"                timeout: 0.5s\n              # No", "              # No"}}, code: "timeout-default", marker: "grpc_service:"},
		{name: "asks-long-on-a-route", edits: onRoute("typed_per_filter_config: {envoy.filters.http.ext_authz: " + perRoute + "check_settings: {grpc_service: {timeout: 60s, envoy_grpc: {cluster_name: sallyport}}}}}"),
			code: "timeout-long", marker: "timeout: 60s"},
		{name: "answers-403", edits: []edit{{"status_on_error: {code: ServiceUnavailable}", ""}}, code: "status-on-error", marker: typedFilter},
		{name: "joins-headers", edits: []edit{{"encode_raw_headers: true", ""}}, code: "headers-joined", marker: typedFilter},
		{name: "drops-mutations", edits: inFilter("decoder_header_mutation_rules: {disallow_all: true}"), code: "mutations-dropped", marker: "decoder_header_mutation_rules:"},
		{name: "drops-one-mutation", edits: inFilter(`decoder_header_mutation_rules: {disallow_expression: {regex: "x-u.*"}}`), needs: doctor.Needs{IdentityHeaders: []string{"x-user"}}, code: "mutations-dropped", marker: "decoder_header_mutation_rules:"},
		{name: "clears-the-route-itself", edits: inFilter("clear_route_cache: true"), code: "route-cache-cleared", marker: "clear_route_cache:"},
	}
}

func orderFaults() []fault {
	jwt := func(field string) string {
		return "jwt_authn.v3.JwtAuthentication, providers: {p: {issuer: a, local_jwks: {inline_string: '" + aKey + "'}, " + field + "}}"
	}
	cache := `cache.v3.CacheConfig, typed_config: {"@type": type.googleapis.com/envoy.extensions.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig}`
	script := `lua.v3.Lua, default_source_code: {inline_string: "function envoy_on_request(h) end"}`
	set := func(name string) string {
		return "header_mutation.v3.HeaderMutation, mutations: {request_mutations: [{append: {header: {key: \"" + name + "\", value: a}}}]}"
	}
	answer := `lua.v3.Lua, default_source_code: {inline_string: "function envoy_on_request(h) h:respond({[\":status\"]=\"200\"}, \"\") end"}`
	return []fault{
		{name: "a-cache-before", edits: filterBefore("cache", cache), code: "answered-before", marker: "{name: cache", passes: true},
		{name: "a-script-before", edits: filterBefore("script", answer), code: "code-before", marker: "{name: script", passes: true},
		{name: "a-health-check-before", edits: filterBefore("health", `health_check.v3.HealthCheck, pass_through_mode: false, headers: [{name: ":path", string_match: {prefix: /}}]`), code: "health-check-before", marker: "{name: health", passes: true},
		{name: "unverified-claims-before", edits: filterBefore("jwt", jwt("forward: true")+", rules: [{match: {prefix: /}, requires: {extract_only_without_validation: {}}}]"), code: "claims-unverified", marker: "{name: jwt", since: "1.37"},
		{name: "verified-claims-before", edits: filterBefore("jwt", jwt("forward: true"))},
		{name: "refusals-before", edits: filterBefore("rbac", "rbac.v3.RBAC")},
		{name: "a-script-after", edits: filterAfter("script", script), code: "code-after", marker: "{name: script"},
		{name: "a-script-after-that-is-off", edits: []edit{{routerLine, "          - {name: script, disabled: true, typed_config: {\"@type\": " + filtersType + script + "}}\n" + routerLine}}},
		{name: "jwt-clears-the-route", edits: filterAfter("jwt", jwt("clear_route_cache: true")), code: "route-cache-cleared", marker: "{name: jwt"},
		{name: "state-clears-the-route", edits: filterAfter("state", "set_filter_state.v3.Config, clear_route_cache: true"), code: "route-cache-cleared", marker: "{name: state", since: "1.38"},
		{name: "another-header-than-was-read", edits: filterAfter("set", set("X-Tenant")), needs: reads("input.attributes.request.http.headers.x-tenant"), code: "changed-after", marker: "{name: set"},
		{name: "another-user-after", edits: filterAfter("set", set("x-user")), needs: doctor.Needs{IdentityHeaders: []string{"x-user"}}, code: "changed-after", marker: "{name: set"},
		{name: "another-header-after", edits: filterAfter("set", set("x-other"))},
		{name: "another-user-on-a-route", needs: doctor.Needs{IdentityHeaders: []string{"x-user"}}, edits: append(filterAfter("set", "header_mutation.v3.HeaderMutation"),
			onRoute(`typed_per_filter_config: {set: {"@type": `+filtersType+`header_mutation.v3.HeaderMutationPerRoute, mutations: {request_mutations: [{append: {header: {key: x-user, value: root}}}]}}}`)...),
			code: "changed-after", marker: "typed_per_filter_config: {set"},
	}
}

func managerFaults() []fault {
	flags := doctor.Needs{Known: true, FlagsAmbiguousPaths: true}
	trust := func(how string) []edit { return inManager("forward_client_cert_details: " + how) }
	return []fault{
		{name: "dots-stay", edits: []edit{{"normalize_path: true", "normalize_path: false"}}, code: "path-not-normalized", marker: "normalize_path: false"},
		{name: "slashes-stay", edits: []edit{{"merge_slashes: true", "merge_slashes: false"}}, code: "slashes-not-merged", marker: "merge_slashes: false"},
		{name: "escaped-slashes-stay", needs: flags, code: "escaped-slashes-kept", marker: "path_with_escaped_slashes_action:"},
		{name: "escaped-slashes-go", needs: flags, edits: []edit{{"KEEP_UNCHANGED", "UNESCAPE_AND_REDIRECT"}}},
		{name: "parameters-ignored", edits: []edit{{tableLine, tableLine + "            ignore_path_parameters_in_path_matching: true\n"}}, code: "path-parameters-ignored", marker: "ignore_path_parameters_in_path_matching"},
		{name: "any-case", edits: []edit{{"match: {prefix: /}", "match: {prefix: /, case_sensitive: false}"}}, code: "case-insensitive-match", marker: "case_sensitive"},
		{name: "any-address", edits: []edit{{"use_remote_address: true", "use_remote_address: false"}}, code: "client-address-trusted", marker: "use_remote_address: false"},
		{name: "any-certificate-header", edits: trust("ALWAYS_FORWARD_ONLY"), code: "client-cert-header-trusted", marker: "forward_client_cert_details"},
		{name: "a-certificate-header-of-some", edits: trust("APPEND_FORWARD"), code: "client-cert-header-trusted", marker: "forward_client_cert_details"},
		{name: "our-certificate-header", edits: trust("SANITIZE_SET")},
		{name: "upstream-by-a-header", edits: []edit{{"route: {cluster: upstream}", "route: {cluster_header: x-cluster}"}}, code: "upstream-by-header", marker: "cluster_header"},
		{name: "host-by-a-header", edits: []edit{{"route: {cluster: upstream}", "route: {cluster: upstream, host_rewrite_header: x-host}"}}, code: "upstream-by-header", marker: "host_rewrite_header"},
		{name: "another-path", edits: []edit{{"route: {cluster: upstream}", "route: {cluster: upstream, prefix_rewrite: /v1/}"}}, code: "path-rewritten", marker: "prefix_rewrite"},
	}
}

func headerFaults() []fault {
	user := doctor.Needs{IdentityHeaders: []string{"x-user"}}
	tenant := doctor.Needs{Known: true, TokenHeaders: []string{"authorization"}, Reads: []string{"input.attributes.request.http.headers.x-tenant"}}
	added := `request_headers_to_add: [{header: {key: X-User, value: "%REQ(x-name)%"}}]`
	return []fault{
		{name: "user-of-the-client", edits: onRoute(added), needs: user, code: "identity-header-set", marker: "request_headers_to_add"},
		{name: "user-of-the-table", edits: []edit{{tableLine, tableLine + "            " + added + "\n"}}, needs: user, code: "identity-header-set", marker: "request_headers_to_add"},
		{name: "a-header-of-no-matter", edits: onRoute(added)},
		{name: "tokens-hidden", edits: inFilter("disallowed_headers: {patterns: [{exact: authorization}]}"), code: "headers-hidden", marker: "disallowed_headers:"},
		{name: "tokens-not-listed", edits: inFilter("allowed_headers: {patterns: [{prefix: x-}]}"), code: "headers-hidden", marker: "allowed_headers:"},
		{name: "a-header-of-a-rule-hidden", edits: inFilter(`allowed_headers: {patterns: [{exact: authorization}, {safe_regex: {regex: "x-[a-s].*"}}]}`), needs: tenant, code: "headers-hidden", marker: "allowed_headers:"},
		{name: "all-that-is-read-is-listed", edits: inFilter(`allowed_headers: {patterns: [{exact: Authorization, ignore_case: true}, {contains: tenant}]}`), needs: tenant},
	}
}

func bodyFaults() []fault {
	const withBody = `              with_request_body:
                max_request_bytes: 1048576
                allow_partial_message: true
                pack_as_bytes: true  # otherwise policy would read "!" for a byte that is not UTF-8
`
	body := reads("input.parsed_body.amount")
	return []fault{
		{name: "no-body", edits: []edit{{withBody, ""}}, needs: body, code: "body-not-sent", marker: typedFilter},
		{name: "no-body-and-none-read", edits: []edit{{withBody, ""}}, needs: reads("input.parsed_path")},
		{name: "no-body-on-a-route", edits: []edit{{hostLine, "check_settings: {disable_request_body_buffering: true}"}}, needs: body, code: "body-not-sent", marker: "disable_request_body_buffering"},
		{name: "less-body", edits: []edit{{"max_request_bytes: 1048576", "max_request_bytes: 1000"}}, needs: doctor.Needs{MaxBodyBytes: 1 << 20}, code: "body-limit-differs", marker: "max_request_bytes: 1000"},
		{name: "the-body-as-agreed", needs: doctor.Needs{MaxBodyBytes: 1 << 20}},
		{name: "a-whole-body", edits: []edit{{"allow_partial_message: true", "allow_partial_message: false"}}, code: "body-refused-unchecked", marker: "with_request_body:"},
		{name: "a-body-of-text", edits: []edit{{"pack_as_bytes: true", "pack_as_bytes: false"}}, code: "body-as-text", marker: "with_request_body:"},
	}
}

func certificateFaults() []fault {
	overTLS := func(context, validation string) edit {
		return edit{"    filter_chains:\n    - filters:\n", `    filter_chains:
    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          ` + context + `
          common_tls_context: {tls_certificates: [{certificate_chain: {filename: /etc/envoy/tls/tls.crt}, private_key: {filename: /etc/envoy/tls/tls.key}}]` + validation + `}
      filters:
`}
	}
	const trusted, required = ", validation_context: {trusted_ca: {filename: /etc/envoy/tls/ca.crt}}", "require_client_certificate: true"
	notSent := edit{"include_peer_certificate: true", "include_peer_certificate: false"}
	certificate, principal := reads("input.attributes.source.certificate"), reads("input.source.principal")
	return []fault{
		{name: "no-certificate", edits: []edit{notSent, overTLS(required, trusted)}, needs: certificate, code: "certificate-not-sent", marker: "include_peer_certificate: false", tls: true},
		{name: "no-bound-token", edits: []edit{notSent, overTLS(required, trusted)}, code: "bound-tokens-refused", marker: "include_peer_certificate: false", tls: true},
		{name: "no-tls", needs: principal, code: "certificate-not-required", marker: "- filters:"},
		{name: "no-certificate-asked-for", edits: []edit{overTLS("", trusted)}, needs: principal, code: "certificate-not-required", marker: "typed_config:", tls: true},
		{name: "no-certificate-verified", edits: []edit{overTLS(required, "")}, code: "certificate-not-verified", marker: required, tls: true},
		{name: "any-certificate-taken", edits: []edit{overTLS(required, trusted[:len(trusted)-1]+", trust_chain_verification: ACCEPT_UNTRUSTED}")}, needs: principal, code: "certificate-not-verified", marker: "trust_chain_verification", tls: true},
		{name: "a-certificate-as-it-should", edits: []edit{overTLS(required, trusted)}, needs: principal, tls: true},
	}
}

func clusterFaults() []fault {
	const keepalive = "            connection_keepalive: {interval: 30s, timeout: 5s}  # notices a peer that is gone\n"
	far := edit{"socket_address: {address: 127.0.0.1, port_value: 9191}", "socket_address: {address: 192.0.2.1, port_value: 9191}"}
	upstreamTLS := func(rest string) edit {
		return edit{"    # Sallyport reports NOT_SERVING", `    transport_socket: {name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext` + rest + "}}\n    # Sallyport reports NOT_SERVING"}
	}
	return []fault{
		{name: "far-in-plain-text", edits: []edit{far}, code: "plain-text", marker: "192.0.2.1"},
		{name: "far-unverified", edits: []edit{far, upstreamTLS("")}, code: "server-not-verified", marker: "transport_socket:"},
		{name: "far-verified", edits: []edit{far, upstreamTLS(", common_tls_context: {validation_context: {trusted_ca: {filename: /etc/envoy/tls/ca.crt}}}")}},
		{name: "http1", edits: []edit{{"          http2_protocol_options:\n" + keepalive, "          http_protocol_options: {}\n"}, {"grpc_health_check: {service_name: envoy.service.auth.v3.Authorization}", "tcp_health_check: {}"}}, code: "no-http2", marker: "      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:"},
		{name: "no-pings", edits: []edit{{"          http2_protocol_options:\n" + keepalive, "          http2_protocol_options: {}\n"}}, code: "no-keepalive", marker: "http2_protocol_options:"},
		{name: "no-health-check", edits: []edit{{`    health_checks:
    - timeout: 1s
      interval: 5s
      no_traffic_interval: 5s  # otherwise 60s until the first request
      unhealthy_threshold: 2
      healthy_threshold: 1
      grpc_health_check: {service_name: envoy.service.auth.v3.Authorization}
`, ""}}, code: "no-health-check", marker: "  - name: sallyport-"},
	}
}

// discovered are the files that the Envoy of discoveryFaults reads.
func discovered() map[string]string {
	return map[string]string{
		"/etc/envoy/routes.yaml": `resources:
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: discovered
  virtual_hosts:
  - name: default
    domains: ["*"]
    routes:
    - match: {prefix: /}
      route: {cluster: upstream}
      ` + off + "\n",
		"/etc/envoy/filter.yaml": `resources:
- "@type": type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig
  name: envoy.filters.http.ext_authz
  typed_config:
    "@type": ` + filtersType + `ext_authz.v3.ExtAuthz
    transport_api_version: V3
    grpc_service: {envoy_grpc: {cluster_name: sallyport-a-filter-by-discovery}, timeout: 0.5s}
    failure_mode_allow: true
    status_on_error: {code: ServiceUnavailable}
    encode_raw_headers: true
    include_peer_certificate: true
`,
	}
}

func discoveryFaults() []fault {
	_, table, _ := strings.Cut(deploy.Envoy, "          route_config:\n")
	table, _, _ = strings.Cut(table, "\n          http_filters:\n")
	_, filter, _ := strings.Cut(deploy.Envoy, filterLine)
	filter, _, _ = strings.Cut(filter, routerLine)
	const source = "{path_config_source: {path: /etc/envoy/"
	return []fault{
		{name: "routes-by-discovery", edits: []edit{{"          route_config:\n" + table, "          rds: {route_config_name: discovered, config_source: " + source + "routes.yaml}}}\n"}},
			code: "not-seen", marker: "rds:", inDump: "disabled-on-route", passes: true},
		{name: "a-filter-by-discovery", edits: []edit{{filter, `            config_discovery: {type_urls: ["` + filtersType + `ext_authz.v3.ExtAuthz"], config_source: ` + source + "filter.yaml}}}\n"}},
			code: "not-seen", marker: "- name: envoy.filters.http.ext_authz", inDump: "failure-mode-allow"},
	}
}

func networkFaults() []fault {
	_, filter, _ := strings.Cut(deploy.EnvoyNetwork, "      - name: envoy.filters.network.ext_authz\n")
	filter, _, _ = strings.Cut(filter, "      - name: envoy.filters.network.tcp_proxy\n")
	_, socket, _ := strings.Cut(deploy.EnvoyNetwork, "    - transport_socket:\n")
	socket, _, _ = strings.Cut(socket, "      filters:\n")
	const closed, required = "failure_mode_allow: false", "require_client_certificate: true"
	return []fault{
		{name: "no-network-filter", edits: []edit{{"      - name: envoy.filters.network.ext_authz\n" + filter, ""}}, code: "no-network-filter", marker: "filters:", passes: true},
		{name: "fails-open", edits: []edit{{closed, "failure_mode_allow: true"}, {"port_value: 9191}", "port_value: 9999}"}}, code: "failure-mode-allow", marker: "failure_mode_allow: true", passes: true},
		{name: "in-the-shadow", edits: []edit{{closed, "shadow_mode: true"}}, code: "shadow-mode", marker: "shadow_mode", passes: true, since: "1.40"},
		{name: "by-metadata", edits: []edit{{closed, "filter_enabled_metadata: {filter: other, path: [{key: a}], value: {bool_match: true}}"}}, code: "filter-enabled-metadata", marker: "filter_enabled_metadata", passes: true},
		{name: "waits-long", edits: []edit{{"timeout: 0.5s\n          fail", "timeout: 60s\n          fail"}}, code: "timeout-long", marker: "timeout: 60s"},
		{name: "connects-early", edits: []edit{{"upstream_connect_mode: ON_DOWNSTREAM_DATA", ""}}, code: "connected-early", marker: "        typed_config:\n          \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy"},
		{name: "no-certificate", edits: []edit{{required, ""}}, needs: reads("input.source.principal"), code: "certificate-not-required", marker: "        typed_config:"},
		{name: "no-tls", edits: []edit{{"    - transport_socket:\n" + socket + "      filters:\n", "    - filters:\n"}}, needs: reads("input.source.principal"), code: "certificate-not-required", marker: "- filters:", plain: true},
		{name: "not-sent", edits: []edit{{"include_peer_certificate: true", ""}}, needs: reads("input.attributes.source.certificate"), code: "certificate-not-sent", marker: "        typed_config:\n          \"@type\": type.googleapis.com/envoy.extensions.filters.network.ext_authz"},
	}
}
