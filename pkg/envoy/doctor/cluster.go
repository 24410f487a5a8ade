package doctor

import (
	"net/netip"
	"strconv"
	"strings"
)

// transport looks at the cluster that is asked.
func (e *examiner) transport(name *node, routes []Route) {
	cluster := e.clusters[name.string()]
	if cluster == nil {
		e.find(notSeen, name, routes, "the cluster "+strconv.Quote(name.string())+" is not in this file")
		return
	}
	e.wire(cluster, routes)
	http := cluster.get("typed_extension_protocol_options").exact("envoy.extensions.upstreams.http.v3.HttpProtocolOptions")
	config := http.oneOf("explicit_http_config", "auto_config", "use_downstream_protocol_config")
	options := config.get("http2_protocol_options")
	if http == nil {
		options = cluster.get("http2_protocol_options")
	}
	switch {
	case options == nil && config.get("http3_protocol_options") == nil:
		e.find("no-http2", orElse(http, cluster), routes, "the cluster does not speak HTTP/2, which gRPC needs: every check fails")
	case options.get("connection_keepalive") == nil && config.get("http3_protocol_options") == nil:
		e.find("no-keepalive", orElse(options, cluster), routes, "a peer that is gone without a word is noticed by checks that time out")
	}
	if len(cluster.get("health_checks").items()) == 0 {
		e.find("no-health-check", cluster, routes, "Envoy asks a server that is not ready or drains as it asks any other")
	}
}

// wire looks at who else may hear and answer.
func (e *examiner) wire(cluster *node, routes []Route) {
	socket, kind := cluster.get("transport_socket", "typed_config").unwrapped()
	if kind == "" && cluster.get("transport_socket_matches") == nil {
		if far := e.beyond(cluster); far != nil {
			e.find("plain-text", far, routes, "checks go to "+strconv.Quote(far.string())+" in plain text: whoever is on the way reads tokens and can answer yes")
		}
		return
	}
	if strings.HasSuffix(kind, ".tls.v3.UpstreamTlsContext") {
		validation := verifies(socket)
		if validation == nil || validation.get("trust_chain_verification").string() == "ACCEPT_UNTRUSTED" {
			e.find("server-not-verified", socket, routes, "the server's certificate is not verified: whoever is on the way can answer yes")
		}
	}
}

// beyond is an address of the cluster on another machine; nil: there is none.
func (e *examiner) beyond(cluster *node) *node {
	name := cluster.get("name").string()
	if service := cluster.get("eds_cluster_config", "service_name"); service != nil {
		name = service.string()
	}
	assignment := orElse(e.endpoints[name], cluster.get("load_assignment"))
	var far *node
	for _, locality := range assignment.get("endpoints").items() {
		for _, lb := range locality.get("lb_endpoints").items() {
			if at := lb.get("endpoint", "address", "socket_address", "address"); at != nil && !isLoopback(at.string()) && far == nil {
				far = at
			}
		}
	}
	if far == nil && len(assignment.get("endpoints").items()) == 0 {
		return cluster.get("name") // by EDS or DNS, so not on this machine as far as anybody knows
	}
	return far
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}

// googleTransport looks at a service that Envoy asks with Google's gRPC library.
func (e *examiner) googleTransport(google *node, routes []Route) {
	target := google.get("target_uri")
	host := target.string()
	if strings.HasPrefix(host, "unix:") {
		return
	}
	host = strings.TrimPrefix(strings.TrimPrefix(host, "dns:"), "///")
	if i := strings.LastIndexByte(host, ':'); i > 0 {
		host = strings.Trim(host[:i], "[]")
	}
	credentials := google.oneOf("channel_credentials", "channel_credentials_plugin", "credentials_factory_name")
	if credentials == nil && !isLoopback(host) {
		e.find("plain-text", orElse(target, google), routes, "checks go to "+strconv.Quote(host)+" in plain text: whoever is on the way reads tokens and can answer yes")
	}
}
