package casefile

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A draft is a request while its fields are read.
type draft struct {
	message
	set     map[string]*yaml.Node // the fields that are there
	curl    *message
	network bool
	out     *authz.Request
}

// request reads a request, as fields or as a curl line.
func (r *reader) request(node *yaml.Node) *authz.Request {
	d := &draft{out: &authz.Request{}, set: map[string]*yaml.Node{}}
	d.message = message{method: "GET", scheme: "http", host: "localhost", path: "/", protocol: "HTTP/1.1", rawHeaders: true, packed: true}
	if node.Kind == yaml.ScalarNode {
		r.curl(node, d)
		return r.finish(node, d)
	}
	known := fields{
		"curl":      func(n *yaml.Node) { r.curl(n, d) },
		"network":   func(n *yaml.Node) { d.network = r.bool(n) },
		"truncated": func(n *yaml.Node) { d.truncated = r.bool(n) },
	}
	r.httpFields(known, d)
	r.checkFields(known, d)
	for name, read := range known {
		known[name] = func(n *yaml.Node) { d.set[name] = n; read(n) }
	}
	r.fields(node, known)
	r.exclude(d)
	return r.finish(node, d)
}

func (r *reader) curl(node *yaml.Node, d *draft) {
	m, err := parseCurl(r.text(node))
	if err != nil {
		r.add(node, "curl: %v", err)
		return
	}
	d.curl = m
}

// httpFields are those that a curl line says too.
func (r *reader) httpFields(known fields, d *draft) {
	known["method"] = func(n *yaml.Node) {
		d.method = r.text(n)
		if checkHeader(d.method, "") != nil {
			r.add(n, "method: is no method, such as GET")
		}
	}
	known["url"] = func(n *yaml.Node) {
		if err := d.at(r.text(n)); err != nil {
			r.add(n, "url: %v", err)
		}
	}
	known["path"] = func(n *yaml.Node) { d.path = r.text(n) }
	known["host"] = func(n *yaml.Node) { d.host = r.text(n) }
	known["scheme"] = func(n *yaml.Node) { d.scheme = r.text(n) }
	known["protocol"] = func(n *yaml.Node) { d.protocol = r.text(n) }
	known["headers"] = func(n *yaml.Node) { r.headers(n, d) }
	known["body"] = func(n *yaml.Node) { d.body, d.hasBody = []byte(r.text(n)), true }
	known["json"] = func(n *yaml.Node) { r.json(n, d) }
	known["base64"] = func(n *yaml.Node) {
		var err error
		if d.body, err = base64.StdEncoding.DecodeString(r.text(n)); err != nil {
			r.add(n, "base64: is not base64")
		}
		d.hasBody = true
	}
}

// checkFields are those that Envoy adds.
func (r *reader) checkFields(known fields, d *draft) {
	known["source"] = func(n *yaml.Node) { r.peer(n, &d.out.Source) }
	known["destination"] = func(n *yaml.Node) { r.peer(n, &d.out.Destination) }
	known["time"] = func(n *yaml.Node) { d.out.Time = r.time(n).UTC() }
	known["context_extensions"] = func(n *yaml.Node) { d.out.ContextExtensions = r.textMap(n) }
	known["metadata_context"] = func(n *yaml.Node) { d.out.FilterMetadata = r.object(n) }
	known["route_metadata_context"] = func(n *yaml.Node) { d.out.RouteMetadata = r.object(n) }
	known["sni"] = func(n *yaml.Node) { d.out.TLSSession = &authz.TLSSession{SNI: r.text(n)} }
	known["encode_raw_headers"] = func(n *yaml.Node) { d.rawHeaders = r.bool(n) }
	known["pack_as_bytes"] = func(n *yaml.Node) { d.packed = r.bool(n) }
}

func (r *reader) headers(node *yaml.Node, d *draft) {
	r.pairs(node, func(key, value *yaml.Node) {
		for _, v := range r.texts(value) {
			if err := checkHeader(key.Value, v); err != nil {
				r.add(key, "headers: %v", err)
				return
			}
			if strings.EqualFold(key.Value, "host") {
				d.host = v
				continue
			}
			d.add(key.Value, v)
		}
	})
}

func (r *reader) json(node *yaml.Node, d *draft) {
	body, err := json.Marshal(r.any(node))
	if err != nil {
		r.add(node, "json: cannot be written as JSON")
	}
	d.body, d.hasBody = body, true
}

func (r *reader) peer(node *yaml.Node, p *authz.Peer) {
	r.fields(node, fields{
		"principal":   func(n *yaml.Node) { p.Principal = r.text(n) },
		"address":     func(n *yaml.Node) { p.Address = r.text(n) },
		"port":        func(n *yaml.Node) { p.Port = uint32(r.integer(n, 0, 65535)) }, //nolint:gosec // in the bounds
		"pipe":        func(n *yaml.Node) { p.Pipe = r.text(n) },
		"certificate": func(n *yaml.Node) { p.Certificate = r.text(n) },
		"service":     func(n *yaml.Node) { p.Service = r.text(n) },
		"labels":      func(n *yaml.Node) { p.Labels = r.textMap(n) },
	})
}

// exclude refuses fields that say one thing twice, or nothing of what is asked about.
func (r *reader) exclude(d *draft) {
	http := []string{"method", "url", "path", "host", "scheme", "protocol", "headers", "body", "json", "base64"}
	for _, name := range http {
		if d.set[name] != nil && d.set["curl"] != nil {
			r.add(d.set[name], "%s: must not be beside curl, which says it", name)
		}
	}
	for _, name := range append(http, "curl", "truncated", "encode_raw_headers", "pack_as_bytes") {
		if d.set[name] != nil && d.network {
			r.add(d.set[name], "%s: must not be beside network: such a check has no HTTP request", name)
		}
	}
	for _, pair := range [][2]string{{"path", "url"}, {"host", "url"}, {"scheme", "url"}, {"json", "body"}, {"base64", "body"}, {"base64", "json"}} {
		if d.set[pair[0]] != nil && d.set[pair[1]] != nil {
			r.add(d.set[pair[0]], "%s: must not be beside %s, which says it", pair[0], pair[1])
		}
	}
}

func (r *reader) finish(node *yaml.Node, d *draft) *authz.Request {
	if d.network {
		return d.out
	}
	m := &d.message
	if d.curl != nil {
		m = d.curl
		m.truncated, m.rawHeaders, m.packed = d.truncated, d.rawHeaders, d.packed
	}
	if d.set["json"] != nil {
		m.suggest("content-type", "application/json")
	}
	if d.truncated && !m.hasBody {
		r.add(node, "truncated: there is no body that could be")
	}
	// A path without a reading is the case's subject, not its mistake: the check is denied.
	d.out.HTTP, d.out.Fault = m.http()
	return d.out
}
