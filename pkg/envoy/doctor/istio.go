package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// istioMends are in the words of Istio's resources.
var istioMends = map[string]string{
	"failure-mode-allow": `failOpen: false`,
	"timeout-long":       `timeout: 0.5s`,
	"timeout-infinite":   `timeout: 0.5s`,
	"status-on-error":    `statusOnError: "503"`,
	"body-not-sent":      `includeRequestBodyInCheck: {maxRequestBytes: 1048576, allowPartialMessage: true, packAsBytes: true}`,
	"certificate-not-sent": `an EnvoyFilter that sets include_peer_certificate: true in envoy.filters.http.ext_authz: Istio has no setting for it;
or speak of input.source.principal in the policy`,
	"path-not-normalized":  "meshConfig:\n  pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}",
	"slashes-not-merged":   "meshConfig:\n  pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}",
	"escaped-slashes-kept": "meshConfig:\n  pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}",
	notSeen:                "give doctor the MeshConfig too: kubectl get configmap istio -n istio-system -o yaml",
}

// meshConfig is that of a ConfigMap, an IstioOperator or a file of its own; nil: there is none.
func meshConfig(given objects) *node {
	for _, o := range given {
		switch {
		case o.kind == "IstioOperator":
			if mesh := o.spec("meshConfig"); mesh != nil {
				return mesh
			}
		case o.kind == "ConfigMap":
			if text := o.get("data", "mesh"); text != nil {
				return embedded(text)
			}
		case o.kind == "" && o.get("extensionProviders") != nil:
			return o.node
		}
	}
	return nil
}

// istio judges what asks Sallyport in a mesh: a provider of the MeshConfig, and the policies with action
// CUSTOM that name it.
func (e *examiner) istio(given, gateways objects) {
	m := mesh{objects: given, config: meshConfig(given), root: "istio-system"}
	if root := m.config.get("rootNamespace").string(); root != "" {
		m.root = root
	}
	m.workloads = given.of("Deployment", "DaemonSet", "StatefulSet", "Pod")
	m.targets = gateways
	if len(gateways) == 0 {
		m.targets = m.workloads
	}
	for _, o := range given.of("AuthorizationPolicy") {
		if o.spec("action").string() == "CUSTOM" {
			m.policies = append(m.policies, o)
		}
	}
	e.routes += len(m.targets)
	for _, target := range m.targets {
		e.covered(m, target)
	}
	for _, p := range m.policies {
		e.custom(m, p)
	}
	e.meshPaths(m)
	e.patches(given, "EnvoyFilter")
	for _, o := range given.of("RequestAuthentication") {
		e.find("istio-request-authentication", o.spec(), []Route{o.route()}, "Istio verifies these tokens after the check; what it finds is not there yet when the policy decides")
	}
}

// A mesh is what was given of one.
type mesh struct {
	objects
	config    *node // MeshConfig; nil: it was not given
	root      string
	workloads objects
	targets   objects // that should be checked: the gateways, or else the workloads
	policies  objects // AuthorizationPolicy with action CUSTOM
}

// covered finds a gateway or workload that no policy is for.
func (e *examiner) covered(m mesh, target object) {
	for _, p := range m.policies {
		if m.applies(p, target) {
			return
		}
	}
	e.find("istio-no-policy", target.get("metadata"), []Route{target.route()}, "no AuthorizationPolicy with action CUSTOM is for it")
}

// applies tells whether a policy is for a gateway or workload.
func (m mesh) applies(p, target object) bool {
	waypoint := target.spec("gatewayClassName").string() == "istio-waypoint"
	if refs := slices.Concat(p.spec("targetRefs").items(), p.specItem("targetRef")); len(refs) > 0 {
		for _, ref := range refs {
			kind, name := ref.get("kind").string(), ref.get("name").string()
			if kind == target.kind && name == target.name && p.namespace == target.namespace ||
				kind == "GatewayClass" && name == target.spec("gatewayClassName").string() && p.namespace == m.root {
				return true
			}
		}
		return false
	}
	if waypoint || p.namespace != m.root && p.namespace != target.namespace {
		return false // a waypoint takes only what names it
	}
	labels := target.labels()
	switch {
	case target.spec("selector") != nil && target.kind == "Gateway":
		labels = target.spec("selector")
	case target.spec("template") != nil:
		labels = target.spec("template", "metadata", "labels")
	case target.kind == "Gateway":
		selector := p.spec("selector", "matchLabels")
		return len(selector.items()) == 0 || selector.exact("gateway.networking.k8s.io/gateway-name").string() == target.name || selects(selector, labels)
	}
	return selects(p.spec("selector", "matchLabels"), labels)
}

// specItem is a field of the spec as a list of one.
func (o object) specItem(name string) []*node {
	if n := o.spec(name); n != nil {
		return []*node{n}
	}
	return nil
}

// custom judges one policy and the provider that it names.
func (e *examiner) custom(m mesh, p object) {
	var on objects
	for _, target := range slices.Concat(m.targets, m.workloads) {
		if m.applies(p, target) {
			on = append(on, target)
		}
	}
	routes := on.routes()
	if len(on) == 0 {
		routes = []Route{p.route()}
		if len(m.targets)+len(m.workloads) > 0 && !p.names("Service") {
			e.find("istio-matches-nothing", orElse(p.spec().oneOf("selector", "targetRefs", "targetRef"), p.spec()), routes, "no gateway and no workload that was given is meant by it")
		}
	}
	if at := p.get("metadata", "annotations").exact("istio.io/dry-run"); at.isTrue() {
		e.find("istio-dry-run", at, routes, "the policy is for a dry run")
	}
	e.leftOut(p, routes)
	e.ztunnel(m, p)
	name := p.spec("provider", "name")
	if m.config == nil {
		e.findIn(istioMends, notSeen, name, routes, "the MeshConfig was not given, so the provider "+strconv.Quote(name.string())+" was not seen")
		return
	}
	for _, provider := range m.config.get("extensionProviders").items() {
		if provider.get("name").string() != name.string() {
			continue
		}
		if grpc := provider.get("envoyExtAuthzGrpc"); grpc != nil {
			e.provider(grpc, routes)
		} else {
			e.find("istio-provider-unknown", provider, routes, "the provider does not speak gRPC, as Sallyport does (envoyExtAuthzGrpc)")
		}
		return
	}
	e.find("istio-provider-unknown", name, routes, "no extensionProvider is called "+strconv.Quote(name.string())+": Istio denies every request that the policy is for")
}

// leftOut finds requests that the rules do not take.
func (e *examiner) leftOut(p object, routes []Route) {
	rules := p.spec("rules")
	if len(rules.items()) == 0 {
		e.find("istio-rules-missing", orElse(rules, p.spec()), routes, "without rules, no request is checked")
		return
	}
	for _, rule := range rules.items() {
		if len(rule.items()) == 0 {
			return // every request
		}
	}
	for _, rule := range rules.items() {
		for _, to := range rule.get("to").items() {
			for _, limit := range to.get("operation").items() {
				e.find("istio-requests-left-out", limit, routes, limitText(limit))
			}
		}
		for _, field := range []string{"from", "when"} {
			if at := rule.get(field); at != nil {
				e.find("istio-requests-left-out", at, routes, "requests to which "+strconv.Quote(field)+" does not apply are not checked")
			}
		}
	}
}

func limitText(limit *node) string {
	var values []string
	for _, v := range limit.items() {
		values = append(values, v.text)
	}
	if strings.HasPrefix(limit.key, "not") {
		return fmt.Sprintf("requests with %s %s are not checked", strings.ToLower(limit.key[len("not"):]), strings.Join(values, ", "))
	}
	return fmt.Sprintf("only requests with %s %s are checked", limit.key, strings.Join(values, ", "))
}

// ztunnel finds a policy that only a waypoint could carry out.
func (e *examiner) ztunnel(m mesh, p object) {
	if p.spec().oneOf("targetRefs", "targetRef") != nil {
		return
	}
	for _, namespace := range m.of("Namespace") {
		if (namespace.name == p.namespace || p.namespace == m.root) && namespace.labels().exact("istio.io/dataplane-mode").string() == "ambient" {
			e.find("istio-not-enforced-by-ztunnel", orElse(p.spec("selector"), p.spec()), []Route{{Object: "Namespace " + namespace.name}},
				"the namespace is ambient: its ztunnel does not know the action CUSTOM, and passes what it is for")
		}
	}
}

// provider judges how Envoy will ask.
func (e *examiner) provider(grpc *node, routes []Route) {
	if at := grpc.get("failOpen"); at.isTrue() {
		e.findIn(istioMends, "failure-mode-allow", at, routes, "whoever can make a check fail gets in: by a timeout, a lost connection, an overload")
	}
	e.patience(istioMends, grpc, routes, "600 s")
	if grpc.get("statusOnError") == nil {
		e.findIn(istioMends, "status-on-error", grpc, routes, "a check that failed is answered 403, as a denial is")
	}
	if at := grpc.get("clearRouteCache"); at.isTrue() {
		e.find("route-cache-cleared", at, routes, "after the check Envoy chooses the route again, and the new one may be a route that is checked otherwise or not at all")
	}
	if e.Needs.readsCertificate() {
		e.findIn(istioMends, "certificate-not-sent", grpc, routes, "the policy reads the client's certificate, and Istio does not send it")
	}
	switch body := grpc.get("includeRequestBodyInCheck"); {
	case body == nil && e.Needs.readsBody():
		e.findIn(istioMends, "body-not-sent", grpc, routes, "the policy reads bodies, and includeRequestBodyInCheck is not set: it sees none")
	case body != nil:
		e.resourceBody(body, "maxRequestBytes", routes)
		if !body.get("packAsBytes").isTrue() {
			e.find("body-as-text", body, routes, `the policy reads "!" for bytes that are not UTF-8, which the upstream gets as they are`).Mend = "packAsBytes: true"
		}
		if !body.get("allowPartialMessage").isTrue() {
			e.find("body-refused-unchecked", body, routes, "Envoy answers a longer body with 413, without a check and a record").Mend = "allowPartialMessage: true"
		}
	}
}

// patience judges a timeout of a resource, with the default of its control plane.
func (e *examiner) patience(mends map[string]string, of *node, routes []Route, byDefault string) {
	at := of.get("timeout")
	value, ok := at.duration()
	switch {
	case at == nil:
		e.findIn(mends, "timeout-long", of, routes, "no timeout is set: a check may hold a request for "+byDefault)
	case ok && value == 0:
		e.findIn(mends, "timeout-infinite", at, routes, "a timeout of 0s is none (since Envoy 1.38): a server that hangs holds every request")
	case ok && value > max(longest, e.Needs.Timeout):
		e.findIn(mends, "timeout-long", at, routes, fmt.Sprintf("a check may hold a request for %s", value))
	}
}

// resourceBody compares a limit on bodies with Sallyport's.
func (e *examiner) resourceBody(body *node, field string, routes []Route) {
	limit := body.get(field).number()
	if own := e.Needs.MaxBodyBytes; own > 0 && int64(limit) != own {
		e.find("body-limit-differs", orElse(body.get(field), body), routes, fmt.Sprintf("%s is %d, and Sallyport's request.maxBodyBytes is %d: %s", field, int64(limit), own, limitConsequence(int64(limit), own))).Mend = field + ": " + strconv.FormatInt(own, 10)
	}
}

// meshPaths judges how the mesh's Envoys normalise paths.
func (e *examiner) meshPaths(m mesh) {
	if m.config == nil {
		return
	}
	at := m.config.get("pathNormalization", "normalization")
	code, message := "", ""
	switch at.string() {
	case "NONE":
		code, message = "path-not-normalized", "paths are not normalized: Sallyport refuses what Istio would mend"
	case "", "DEFAULT", "BASE":
		code, message = "slashes-not-merged", "// in a path stays: Sallyport refuses it, where Istio could mend it"
	}
	if code != "" {
		f := e.findIn(istioMends, code, orElse(at, m.config), m.policies.routes(), message)
		if e.Needs.FlagsAmbiguousPaths {
			f.Severity = Unbound
		}
	}
	if e.Needs.FlagsAmbiguousPaths && at.string() != "DECODE_AND_MERGE_SLASHES" {
		e.findIn(istioMends, "escaped-slashes-kept", orElse(at, m.config), m.policies.routes(), "%2f and %5c in a path stay, and Sallyport passes them to the policy (request.ambiguousPaths: flag)")
	}
}
