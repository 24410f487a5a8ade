package doctor

import "strconv"

// envoy looks through one Envoy.
func (e *examiner) envoy(in *inventory) {
	e.inventory = in
	e.unseenResources()
	for _, l := range in.listeners {
		e.listener(l)
	}
}

// unseenResources tells of what a bootstrap leaves to a control plane.
func (e *examiner) unseenResources() {
	if e.dump {
		return
	}
	resources := e.root.get("dynamic_resources")
	for _, field := range []string{"lds_config", "cds_config"} {
		if at := resources.get(field); at != nil {
			what := map[string]string{"lds_config": "listeners", "cds_config": "clusters"}[field]
			e.find(notSeen, at, nil, what+" come from "+field+", and are not in this file")
		}
	}
}

// A chain is a filter chain of a listener.
type chain struct {
	at      *node
	route   Route // of all that it takes, so far as it is known
	tls     *node // DownstreamTlsContext; nil: plain text
	filters []filter
}

func (e *examiner) listener(l *node) {
	name := l.get("name").string()
	if name == "" {
		name = "listener at line " + strconv.Itoa(l.line)
	}
	chains := l.get("filter_chains").items()
	many := len(chains) > 1 || l.get("default_filter_chain") != nil && len(chains) > 0
	for i, at := range chains {
		c := chain{at: at, route: Route{Listener: name}}
		if many {
			c.route.FilterChain = at.get("name").string()
			if c.route.FilterChain == "" {
				c.route.FilterChain = "filter chain " + strconv.Itoa(i)
			}
		}
		e.chain(c)
	}
	if at := l.get("default_filter_chain"); at != nil {
		e.chain(chain{at: at, route: Route{Listener: name, FilterChain: "default filter chain"}})
	}
	if at := l.get("fcds_config"); at != nil {
		e.find(notSeen, at, []Route{{Listener: name}}, "filter chains come from fcds_config, and are not in this file")
	}
	if api := l.get("api_listener", "api_listener"); api != nil {
		config, _ := api.unwrapped()
		e.http(chain{at: api, route: Route{Listener: name}}, config)
	}
}

// chain tells HTTP from TCP.
func (e *examiner) chain(c chain) {
	if socket, name := c.at.get("transport_socket", "typed_config").unwrapped(); name != "" {
		c.tls = downstreamTLS(socket, name)
	}
	c.filters = e.filters(c.at.get("filters"))
	for _, f := range c.filters {
		if f.unseen {
			e.find(notSeen, f.at, []Route{c.route}, "the network filter "+strconv.Quote(f.name)+" comes by discovery, and is not in this file")
		}
		if f.kind == "http_connection_manager" {
			e.http(c, f.config)
			return
		}
	}
	e.network(c)
}

// downstreamTLS is the TLS of a chain, over TCP or QUIC.
func downstreamTLS(socket *node, name string) *node {
	const tls = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
	if name == tls {
		return socket
	}
	var found *node
	socket.within(func(n *node) {
		if n.protoType() == tls {
			found = n
		}
	})
	if found == nil {
		found = socket.get("downstream_tls_context") // QuicDownstreamTransport
	}
	return found
}
