package doctor

import "strconv"

// network looks through a chain without HTTP: a connection is checked by the network filter, or not.
func (e *examiner) network(c chain) {
	e.routes++
	routes := []Route{c.route}
	for i, f := range c.filters {
		if f.kind != "ext_authz" || !e.ours(f.config) {
			continue
		}
		k := check{filter: f, position: i, routes: []route{{Route: c.route}}}
		if at := f.config.get("failure_mode_allow"); at.isTrue() {
			e.find("failure-mode-allow", at, routes, "whoever can make a check fail gets in: by a timeout, a lost connection, an overload")
		}
		if at := f.config.get("shadow_mode"); at.isTrue() {
			e.find("shadow-mode", at, routes, "denials are noted and not carried out")
		}
		if at := f.config.get("filter_enabled_metadata"); at != nil {
			e.find("filter-enabled-metadata", at, routes, "only connections whose dynamic metadata match are checked; the others pass")
		}
		e.asks(f.config, f.config.get("grpc_service"), routes)
		e.certificate(c, k)
		for _, later := range c.filters[i+1:] {
			if later.kind == "tcp_proxy" && later.config.get("upstream_connect_mode").string() != "ON_DOWNSTREAM_DATA" {
				e.find("connected-early", later.config, routes, "Envoy connects to the upstream before the client is let in, and passes on what it says first")
			}
		}
		return
	}
	at := c.at.get("filters")
	for _, f := range c.filters {
		if f.unseen {
			return // that is a finding already
		}
	}
	message := "connections are passed on without a check: no network filter is ext_authz"
	if n := len(c.filters); n > 0 {
		message = "connections go to the filter " + strconv.Quote(c.filters[n-1].name) + " without a check: no network filter is ext_authz"
	}
	e.find("no-network-filter", orElse(at, c.at), routes, message)
}
