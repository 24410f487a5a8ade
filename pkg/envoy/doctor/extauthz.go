package doctor

import (
	"fmt"
	"slices"
	"strconv"
)

// A manager is an HTTP connection manager, with what it does to requests.
type manager struct {
	chain
	hcm     *node
	filters []filter
	routes  []route
}

// A check is one ext_authz filter, with the routes on which it takes part.
type check struct {
	filter
	position int // in the manager's filters
	routes   []route
}

// labels are how routes are named.
func labels(routes []route) []Route {
	all := make([]Route, len(routes))
	for i, r := range routes {
		all[i] = r.Route
	}
	return all
}

// http looks through a connection manager.
func (e *examiner) http(c chain, hcm *node) {
	m := manager{chain: c, hcm: hcm, filters: e.filters(hcm.get("http_filters")), routes: e.routesOf(c, hcm)}
	e.routes += len(m.routes)
	checks := e.checks(m)
	if len(checks) == 0 {
		e.noFilter(m)
		return
	}
	e.happens(m, checks)
	e.upgrades(m)
	checked := map[Route]bool{}
	for _, k := range checks {
		if len(k.routes) == 0 {
			continue
		}
		e.sometimes(k)
		e.settings(k)
		e.before(m, k)
		e.after(m, k)
		e.hidden(k)
		e.body(k)
		e.certificate(m.chain, k)
		for _, r := range k.routes {
			checked[r.Route] = true
		}
	}
	m.routes = slices.DeleteFunc(m.routes, func(r route) bool { return !checked[r.Route] })
	if len(m.routes) > 0 {
		e.paths(m)
		e.trust(m)
		e.forwarding(m)
	}
}

// checks are the filters that ask Sallyport.
func (e *examiner) checks(m manager) []check {
	var all []check
	for i, f := range m.filters {
		if f.kind == "ext_authz" && f.config != nil && e.ours(f.config) {
			all = append(all, check{filter: f, position: i})
		}
	}
	return all
}

func (e *examiner) ours(config *node) bool {
	if config.get("http_service") != nil {
		return false
	}
	cluster := config.get("grpc_service", "envoy_grpc", "cluster_name").string()
	return e.Cluster == "" || cluster == e.Cluster
}

func (e *examiner) noFilter(m manager) {
	at := m.hcm.get("http_filters")
	if at == nil {
		at = m.hcm
	}
	unseen := slices.IndexFunc(m.filters, func(f filter) bool { return f.unseen })
	other := slices.IndexFunc(m.filters, func(f filter) bool { return f.kind == "ext_authz" })
	switch {
	case unseen >= 0:
		f := m.filters[unseen]
		e.find(notSeen, f.at, labels(m.routes), "the filter "+strconv.Quote(f.name)+" comes by discovery, and is not in this file: no other is ext_authz")
	case other >= 0 && m.filters[other].config.get("http_service") != nil:
		e.find("no-filter", m.filters[other].at, labels(m.routes), "ext_authz asks over HTTP (http_service); Sallyport speaks gRPC")
	case other >= 0:
		e.find("no-filter", m.filters[other].at, labels(m.routes), "ext_authz asks another cluster than "+strconv.Quote(e.Cluster))
	default:
		e.find("no-filter", at, labels(m.routes), "no HTTP filter is ext_authz")
	}
}

// happens notes on which routes each filter takes part. Where none does, nobody is asked.
func (e *examiner) happens(m manager, checks []check) {
	for _, r := range m.routes {
		asked := false
		for i := range checks {
			if off, _ := turnedOff(r, checks[i].filter); off == nil {
				checks[i].routes = append(checks[i].routes, r)
				asked = true
			}
		}
		if asked {
			continue
		}
		for _, k := range checks {
			off, code := turnedOff(r, k.filter)
			e.find(code, off, []Route{r.Route}, offMessage(code, k.filter, off))
		}
	}
	for _, f := range m.filters {
		if f.unseen && f.kind == "ext_authz" {
			e.find(notSeen, f.at, labels(m.routes), "the settings of "+strconv.Quote(f.name)+" come by discovery: what stands here is the default until then")
		}
	}
}

// turnedOff is what keeps a filter from a route; nil: nothing does.
func turnedOff(r route, f filter) (at *node, code string) {
	o := r.of(f)
	if off := o.settings.get("disabled"); off.isTrue() && o.disabled == nil {
		return off, "disabled-on-route"
	}
	if o.disabled != nil && o.disabled == f.disabled {
		return o.disabled, "filter-disabled"
	}
	return o.disabled, "disabled-on-route"
}

func offMessage(code string, f filter, off *node) string {
	if code == "filter-disabled" {
		return fmt.Sprintf("the filter %q is off (disabled: true), and nothing turns it on here", f.name)
	}
	level := "the route"
	for n := off; n != nil; n = n.parent {
		if spells(n.key, "typed_per_filter_config") {
			level = levelOf(n.parent)
			break
		}
	}
	return fmt.Sprintf("%s turns the filter %q off", level, f.name)
}

func levelOf(n *node) string {
	switch {
	case n.get("virtual_hosts") != nil || n.get("vhds") != nil:
		return "the route configuration"
	case n.get("domains") != nil:
		return "the virtual host"
	case n.get("weight") != nil:
		return "the weighted cluster"
	}
	return "the route"
}

// upgrades finds upgrades with filters of their own, among which nobody is asked.
func (e *examiner) upgrades(m manager) {
	for _, u := range m.hcm.get("upgrade_configs").items() {
		own := e.filters(u.get("filters"))
		if len(own) == 0 || u.get("enabled").isFalse() ||
			slices.ContainsFunc(own, func(f filter) bool { return f.kind == "ext_authz" && f.disabled == nil && e.ours(f.config) }) {
			continue
		}
		e.find("upgrade-without-check", u, labels(m.routes),
			"requests that upgrade to "+strconv.Quote(u.get("upgrade_type").string())+" take filters of their own, and none is ext_authz")
	}
}

// sometimes finds what lets the filter out for a part of the requests.
func (e *examiner) sometimes(k check) {
	routes := labels(k.routes)
	if k.conditional != nil {
		e.find("conditional-filter", k.conditional, routes, "a matcher decides per request whether the filter takes part")
	}
	deniedInstead := k.config.get("deny_at_disable", "default_value").isTrue()
	if enabled := k.config.get("filter_enabled"); enabled != nil && !deniedInstead {
		if share := percent(enabled.get("default_value")); share < 100 {
			e.find("filter-enabled-fraction", enabled, routes, fmt.Sprintf("only %g %% of the requests are checked; the others pass", share))
		} else if key := enabled.get("runtime_key"); key != nil {
			e.find("filter-enabled-runtime", key, routes, "the runtime key "+strconv.Quote(key.string())+" can turn the check off")
		}
	}
	if at := k.config.get("filter_enabled_metadata"); at != nil && !deniedInstead {
		e.find("filter-enabled-metadata", at, routes, "only requests whose dynamic metadata match are checked; the others pass")
	}
}

// percent reads a FractionalPercent.
func percent(n *node) float64 {
	value := n.get("numerator").number()
	switch n.get("denominator").string() {
	case "TEN_THOUSAND", "1":
		return value / 100
	case "MILLION", "2":
		return value / 10000
	}
	return value
}
