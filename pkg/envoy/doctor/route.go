package doctor

import (
	"strconv"
	"strings"
)

// A route is one way that requests may take through a connection manager.
type route struct {
	Route
	at     *node   // of the Route message; nil where routes are not in the file
	levels []*node // that may speak of it, the most specific first: weighted cluster, route, virtual host, table
}

const routeType = "envoy.config.route.v3.Route"

// routesOf lists the routes of a connection manager.
func (e *examiner) routesOf(c chain, hcm *node) []route {
	if table := hcm.get("route_config"); table != nil {
		return e.table(c.route, table)
	}
	if rds := hcm.get("rds"); rds != nil {
		return e.named(c.route, rds.get("route_config_name").string(), rds)
	}
	scoped := hcm.get("scoped_routes")
	scopes := scoped.get("scoped_route_configurations_list", "scoped_route_configurations").items()
	if len(scopes) == 0 {
		scopes = e.scoped[scoped.get("name").string()]
	}
	var all []route
	for _, scope := range scopes {
		if table := scope.get("route_configuration"); table != nil {
			all = append(all, e.table(c.route, table)...)
		} else {
			all = append(all, e.named(c.route, scope.get("route_configuration_name").string(), scope)...)
		}
	}
	if len(all) == 0 {
		all = e.unseenRoutes(c.route, "of scopes", hcm)
	}
	return all
}

// named is a route table that comes by discovery.
func (e *examiner) named(above Route, name string, at *node) []route {
	if table := e.inventory.routes[name]; table != nil {
		return e.table(above, table)
	}
	return e.unseenRoutes(above, strconv.Quote(name), at)
}

// unseenRoutes stand in for those that are not in the file.
func (e *examiner) unseenRoutes(above Route, which string, at *node) []route {
	above.Match = "routes that are not in this file"
	e.find(notSeen, at, []Route{above}, "the route configuration "+which+" is not in this file, so whether a route turns the check off was not seen")
	return []route{{Route: above}}
}

func (e *examiner) table(above Route, table *node) []route {
	var all []route
	for _, host := range table.get("virtual_hosts").items() {
		in := above
		in.VirtualHost = host.get("name").string()
		for _, at := range routeNodes(host) {
			in.Match = matchText(at)
			one := route{Route: in, at: at, levels: []*node{at, host, table}}
			all = append(all, one)
			all = append(all, one.weighted()...)
		}
	}
	if at := table.get("vhds"); at != nil {
		e.find(notSeen, at, []Route{above}, "virtual hosts come by discovery (vhds): those that are not in this file were not seen")
	}
	return all
}

// routeNodes are the routes of a virtual host, in its list or in its match tree.
func routeNodes(host *node) []*node {
	all := host.get("routes").items()
	host.get("matcher").within(func(n *node) {
		switch message, name := n.unwrapped(); name {
		case routeType:
			all = append(all, message)
		case "envoy.config.route.v3.RouteList":
			all = append(all, message.get("routes").items()...)
		}
	})
	return all
}

// weighted are the route's weighted clusters that say something of their own.
func (r route) weighted() []route {
	var all []route
	for _, at := range r.at.get("route", "weighted_clusters", "clusters").items() {
		if at.get("typed_per_filter_config") == nil && at.get("request_headers_to_add") == nil && at.get("cluster_header") == nil {
			continue
		}
		one := r
		one.Match += " > weighted cluster " + at.get("name").string()
		one.levels = append([]*node{at}, r.levels...)
		all = append(all, one)
	}
	return all
}

// matchText says which requests a route is for, in the words of its file.
func matchText(at *node) string {
	match := at.get("match")
	var text []string
	for _, field := range []string{"prefix", "path", "path_separated_prefix"} {
		if m := match.get(field); m != nil {
			text = append(text, field+" "+m.string())
		}
	}
	switch {
	case match.get("safe_regex") != nil:
		text = append(text, "safe_regex "+match.get("safe_regex", "regex").string())
	case match.get("connect_matcher") != nil:
		text = append(text, "CONNECT")
	case match.get("path_match_policy") != nil:
		text = append(text, "path template "+match.get("path_match_policy", "typed_config", "path_template").string())
	}
	for _, field := range []string{"headers", "query_parameters"} {
		for _, h := range match.get(field).items() {
			text = append(text, "["+h.get("name").string()+"]")
		}
	}
	if name := at.get("name").string(); name != "" {
		text = append(text, "("+name+")")
	}
	return strings.Join(text, " ")
}

// An override is what the levels of a route say of a filter.
type override struct {
	disabled *node // where it is turned off; nil: it takes part
	settings *node // the most specific message for it; nil: there is none
}

// of finds what holds for a filter on a route. Envoy takes the most specific level that speaks of the
// filter, for whether it takes part and for its settings.
func (r route) of(f filter) override {
	o := override{disabled: f.disabled}
	decided := false
	for _, level := range r.levels {
		config := level.get("typed_per_filter_config").exact(f.name)
		if config == nil {
			continue
		}
		message, name := config.unwrapped()
		off := (*node)(nil)
		if name == "envoy.config.route.v3.FilterConfig" {
			if message.get("disabled").isTrue() {
				off = message.get("disabled")
			}
			message, _ = message.get("config").unwrapped()
		}
		if !decided {
			o.disabled, decided = off, true
		}
		if o.settings == nil {
			o.settings = message
		}
	}
	return o
}
