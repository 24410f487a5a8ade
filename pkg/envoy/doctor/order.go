package doctor

import (
	"slices"
	"strconv"
	"strings"
)

// What filters do that stand before the check, or after it. Those that only refuse are in neither list.
var (
	answeringFilters = []string{"cache", "cache_v2", "file_server"}                                               // serve what others were let in for
	codeFilters      = []string{"lua", "wasm", "ext_proc", "golang", "dynamic_modules", "composite", "transform"} // do whatever they are told to
	rewritingFilters = []string{"grpc_json_transcoder", "grpc_json_reverse_transcoder", "mcp_json_rest_bridge"}   // give the request another path, and choose its route again
)

// before looks at the filters that requests meet before the check.
func (e *examiner) before(m manager, k check) {
	for _, f := range m.filters[:k.position] {
		routes := labels(f.on(k.routes))
		name := strconv.Quote(f.name)
		switch {
		case len(routes) == 0:
		case slices.Contains(answeringFilters, f.kind):
			e.find("answered-before", f.at, routes, "the filter "+name+" answers requests before anybody is asked")
		case slices.Contains(codeFilters, f.kind):
			e.find("code-before", f.at, routes, "the filter "+name+" runs before the check, and may answer in its place")
		case f.kind == "health_check" && !f.config.get("pass_through_mode").isTrue():
			e.find("health-check-before", f.at, routes, "the filter "+name+" answers health checks, and whoever sends what looks like one, without a check")
		case f.kind == "jwt_authn":
			e.unverified(f, routes)
		}
	}
}

// unverified finds claims that the filter passes on though it did not verify them.
func (e *examiner) unverified(f filter, routes []Route) {
	f.config.within(func(n *node) {
		if spells(n.key, "extract_only_without_validation") {
			e.find("claims-unverified", n, routes, "jwt_authn passes on claims of tokens that it does not verify")
		}
	})
}

// after looks at what is done to requests once they were let in.
func (e *examiner) after(m manager, k check) {
	for _, f := range m.filters[k.position+1:] {
		for _, r := range f.on(k.routes) {
			routes := []Route{r.Route}
			e.afterOnRoute(f, f.config, routes)
			if own := r.of(f).settings; own != nil {
				e.afterOnRoute(f, own, routes)
			}
		}
	}
}

func (e *examiner) afterOnRoute(f filter, config *node, routes []Route) {
	name := strconv.Quote(f.name)
	switch {
	case f.kind == "ext_authz" && e.ours(f.config): // a second check is looked at by itself
		return
	case slices.Contains(codeFilters, f.kind) && config == f.config:
		e.find("code-after", f.at, routes, "the filter "+name+" runs after the check, and may change path, host and headers that were checked"+clears(f))
	case slices.Contains(rewritingFilters, f.kind) && !config.get("match_incoming_request_route").isTrue() && config == f.config:
		e.find("route-cache-cleared", f.at, routes, "the filter "+name+" changes the path after the check, and Envoy chooses the route again")
	case f.kind == "header_mutation":
		e.mutated(f, config, routes)
	case f.kind == "dynamic_forward_proxy":
		if at := config.get("host_rewrite_header"); at != nil {
			e.find("upstream-by-header", at, routes, "the header "+strconv.Quote(at.string())+", which a client may send, says where the request goes after the check")
		}
	}
	config.within(func(n *node) {
		if spells(n.key, "clear_route_cache") && n.isTrue() {
			e.find("route-cache-cleared", n, routes, "the filter "+name+" has Envoy choose the route again after the check")
		}
	})
}

// clears adds what code may do to the route.
func clears(f filter) string {
	switch {
	case f.kind == "lua" && !f.config.get("clear_route_cache").isFalse(),
		f.kind == "ext_proc" && f.config.get("route_cache_action").string() != "RETAIN" && !f.config.get("disable_clear_route_cache").isTrue(),
		f.kind == "wasm", f.kind == "golang", f.kind == "dynamic_modules":
		return "; then Envoy chooses the route again"
	}
	return ""
}

// mutated finds headers that are changed after the check. Envoy takes no other path or host from the
// filter header_mutation.
func (e *examiner) mutated(f filter, config *node, routes []Route) {
	for _, m := range config.get("mutations", "request_mutations").items() {
		header := m.get("append", "header", "key") // what is removed does not mislead
		if name := strings.ToLower(header.string()); e.identity(name) || e.Needs.readsHeader(name) {
			e.find("changed-after", header, routes, "the filter "+strconv.Quote(f.name)+" sets "+strconv.Quote(name)+" after the check")
		}
	}
}

// on are those of the routes on which a filter takes part.
func (f filter) on(routes []route) []route {
	var all []route
	for _, r := range routes {
		if r.of(f).disabled == nil {
			all = append(all, r)
		}
	}
	return all
}
