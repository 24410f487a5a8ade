package doctor

// An inventory has what an Envoy was given, by name.
type inventory struct {
	root       *node
	dump       bool // what came by discovery is in it
	listeners  []*node
	routes     map[string]*node   // route configurations
	scoped     map[string][]*node // scoped route configurations, by the name of their set
	clusters   map[string]*node
	endpoints  map[string]*node // load assignments that came by discovery
	extensions map[string]*node // typed_config of filters that came by discovery
}

func newInventory(s Source) *inventory {
	in := &inventory{
		root: s.root, dump: s.kind == dump, routes: map[string]*node{}, scoped: map[string][]*node{},
		clusters: map[string]*node{}, endpoints: map[string]*node{}, extensions: map[string]*node{},
	}
	if !in.dump {
		in.bootstrap(s.root)
		return in
	}
	for _, section := range s.root.get("configs").items() {
		in.section(section)
	}
	return in
}

func (in *inventory) bootstrap(root *node) {
	resources := root.get("static_resources")
	in.listeners = resources.get("listeners").items()
	for _, c := range resources.get("clusters").items() {
		in.clusters[c.get("name").string()] = c
	}
}

// section reads a part of a config dump (envoy.admin.v3.ConfigDump).
func (in *inventory) section(s *node) {
	switch s.protoType() {
	case "envoy.admin.v3.ListenersConfigDump":
		in.dumpedListeners(s)
	case "envoy.admin.v3.ClustersConfigDump":
		for _, c := range dumped(s, "cluster", "static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters") {
			in.clusters[c.get("name").string()] = c
		}
	case "envoy.admin.v3.RoutesConfigDump":
		for _, r := range dumped(s, "route_config", "dynamic_route_configs") { // the static ones stand in their listeners
			in.routes[r.get("name").string()] = r
		}
	case "envoy.admin.v3.ScopedRoutesConfigDump":
		for _, field := range []string{"inline_scoped_route_configs", "dynamic_scoped_route_configs"} {
			for _, set := range s.get(field).items() {
				name := set.get("name").string()
				in.scoped[name] = append(in.scoped[name], set.get("scoped_route_configs").items()...)
			}
		}
	case "envoy.admin.v3.EndpointsConfigDump":
		for _, c := range dumped(s, "endpoint_config", "dynamic_endpoint_configs") {
			in.endpoints[c.get("cluster_name").string()] = c
		}
	case "envoy.admin.v3.EcdsConfigDump":
		for _, c := range dumped(s, "ecds_filter", "ecds_filters") {
			in.extensions[c.get("name").string()] = c.get("typed_config")
		}
	}
}

func (in *inventory) dumpedListeners(s *node) {
	in.listeners = append(in.listeners, dumped(s, "listener", "static_listeners")...)
	for _, l := range s.get("dynamic_listeners").items() {
		if listener := l.oneOf("active_state", "warming_state").get("listener"); listener != nil {
			in.listeners = append(in.listeners, listener)
		}
	}
}

// dumped are the resources in these lists of a section.
func dumped(section *node, field string, lists ...string) []*node {
	var all []*node
	for _, name := range lists {
		for _, entry := range section.get(name).items() {
			if resource := entry.get(field); resource != nil {
				all = append(all, resource)
			}
		}
	}
	return all
}
