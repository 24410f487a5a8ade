package doctor

import (
	"slices"
	"strings"
)

// An object is a resource of Kubernetes.
type object struct {
	*node
	kind, namespace, name string
}

// route is how findings name the object.
func (o object) route() Route { return Route{Object: o.kind + " " + o.namespace + "/" + o.name} }

func (o object) labels() *node { return o.get("metadata", "labels") }

func (o object) spec(path ...string) *node { return o.get("spec").get(path...) }

// group is that of its apiVersion.
func (o object) group() string {
	group, _, _ := strings.Cut(o.get("apiVersion").string(), "/")
	return group
}

// objects are resources of one cluster.
type objects []object

func newObjects(all []*node) objects {
	var out objects
	for _, n := range all {
		o := object{node: n, kind: n.get("kind").string(), namespace: n.get("metadata", "namespace").string(), name: n.get("metadata", "name").string()}
		if o.namespace == "" {
			o.namespace = "default"
		}
		out = append(out, o)
	}
	return out
}

// of are those of some kinds.
func (all objects) of(kinds ...string) objects {
	var out objects
	for _, o := range all {
		if slices.Contains(kinds, o.kind) {
			out = append(out, o)
		}
	}
	return out
}

// in are those of an API group, or of one below it.
func (all objects) in(group string) objects {
	var out objects
	for _, o := range all {
		if o.group() == group || strings.HasSuffix(o.group(), "."+group) {
			out = append(out, o)
		}
	}
	return out
}

// routes are how findings name them.
func (all objects) routes() []Route {
	var out []Route
	for _, o := range all {
		out = append(out, o.route())
	}
	return out
}

// selects tells whether all the labels of a selector are on an object.
func selects(selector, labels *node) bool {
	for _, want := range selector.items() {
		if labels.exact(want.key).string() != want.text {
			return false
		}
	}
	return true
}

// gatewayAPI is the group of Gateway and its routes.
const gatewayAPI = "gateway.networking.k8s.io"

// resources judges those of Istio and of Envoy Gateway, each by its own rules. A Gateway is Istio's by the
// name of its class.
func (e *examiner) resources(all []*node) {
	given := newObjects(all)
	var istio, gateways objects
	for _, o := range given.of("Gateway") {
		switch {
		case o.group() == gatewayAPI && !strings.HasPrefix(o.spec("gatewayClassName").string(), "istio"):
			gateways = append(gateways, o)
		default:
			istio = append(istio, o)
		}
	}
	if len(istio) > 0 || len(given.in("istio.io")) > 0 || meshConfig(given) != nil {
		e.istio(given, istio)
	}
	if len(gateways) > 0 || len(given.in("gateway.envoyproxy.io")) > 0 {
		e.gateway(given, gateways)
	}
}

// findIn notes a finding whose mend is in the words of these resources.
func (e *examiner) findIn(mends map[string]string, code string, at *node, routes []Route, message string) *Finding {
	f := e.find(code, at, routes, message)
	if mend, ok := mends[code]; ok {
		f.Mend = mend
	}
	return f
}

// patches finds what changes the check behind the back of a control plane.
func (e *examiner) patches(given objects, kind string) {
	for _, o := range given.of(kind) {
		o.within(func(n *node) {
			switch {
			case spells(n.key, "failure_mode_allow") && n.isTrue(), spells(n.key, "shadow_mode") && n.isTrue():
				e.find("check-patched", n, []Route{o.route()}, "the patch sets "+n.key)
			case n.key == "disabled" && n.isTrue() && n.parent.names("ext_authz"):
				e.find("check-patched", n, []Route{o.route()}, "the patch turns the check off")
			case (n.text == "REMOVE" || n.text == "remove") && n.parent.parent.names("ext_authz"):
				e.find("check-patched", n, []Route{o.route()}, "the patch removes the check")
			}
		})
	}
}

// names tells whether a key or a text in the value has a word.
func (n *node) names(word string) bool {
	found := false
	n.within(func(m *node) { found = found || strings.Contains(m.text, word) || strings.Contains(m.key, word) })
	return found
}
