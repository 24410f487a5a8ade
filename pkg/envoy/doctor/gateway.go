package doctor

import (
	"slices"
	"strconv"
	"strings"
)

// gatewayMends are in the words of Envoy Gateway's resources.
var gatewayMends = map[string]string{
	"failure-mode-allow":         `failOpen: false`,
	"timeout-long":               `timeout: 500ms`,
	"timeout-infinite":           `timeout: 500ms`,
	"status-on-error":            `statusOnError: 503`,
	"route-cache-cleared":        `recomputeRoute: false`,
	"headers-hidden":             `headersToExtAuth: []   # with gRPC, every header`,
	"body-not-sent":              `bodyToExtAuth: {maxRequestBytes: 1048576}`,
	"certificate-not-sent":       `an EnvoyPatchPolicy that sets include_peer_certificate: Envoy Gateway has no setting for it; or speak of input.source.principal in the policy`,
	"slashes-not-merged":         `path: {disableMergeSlashes: false}`,
	"escaped-slashes-kept":       `path: {escapedSlashesAction: UnescapeAndRedirect}`,
	"client-cert-header-trusted": `headers: {xForwardedClientCert: {mode: SanitizeSet}}`,
	"underscores-allowed":        `headers: {withUnderscoresAction: RejectRequest}`,
	"certificate-not-required":   `tls: {clientValidation: {caCertificateRefs: [{kind: Secret, name: NAME}]}}`,
	"plain-text": `apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: sallyport}
spec:
  targetRefs: [{group: "", kind: Service, name: NAME}]
  validation: {caCertificateRefs: [{group: "", kind: ConfigMap, name: CA}], hostname: NAME}`,
	"no-health-check":   `backendSettings: {healthCheck: {active: {type: GRPC, interval: 5s, timeout: 1s, unhealthyThreshold: 2, healthyThreshold: 1, grpc: {service: envoy.service.auth.v3.Authorization}}}}`,
	"no-network-filter": `nothing in Envoy Gateway asks about connections: use an Envoy with deploy/envoy/network.yaml`,
	notSeen:             `give doctor the Gateway too`,
}

// gateway judges what asks Sallyport for Envoy Gateway: the SecurityPolicies that are for each route.
func (e *examiner) gateway(given, gateways objects) {
	policies := given.of("SecurityPolicy")
	inForce := map[*node][]Route{} // by policy
	for _, route := range given.of("HTTPRoute", "GRPCRoute") {
		e.routes++
		for _, p := range e.governing(route, gateways, policies) {
			if p.spec("extAuth", "grpc") != nil {
				inForce[p.node] = append(inForce[p.node], route.route())
			}
		}
	}
	for _, p := range policies {
		if auth := p.spec("extAuth"); auth.get("grpc") != nil {
			routes := inForce[p.node]
			if len(routes) == 0 {
				routes = []Route{p.route()}
			}
			e.extAuth(given, auth, routes)
		}
	}
	for _, route := range given.of("TCPRoute", "TLSRoute", "UDPRoute") {
		e.routes++
		e.findIn(gatewayMends, "no-network-filter", route.spec(), []Route{route.route()}, "Envoy Gateway checks no connections: extAuth is for HTTP")
	}
	e.clients(given)
	e.filterOrder(given)
	e.patches(given, "EnvoyPatchPolicy")
}

// governing finds the policies that decide about a route: its own, or else for each of its Gateways the one
// of the listener, or else the one of the Gateway. The more specific one replaces the others as a whole.
func (e *examiner) governing(route object, gateways, policies objects) objects {
	routes := []Route{route.route()}
	own := policies.targeting(route, "")
	all := e.ofRules(route, policies)
	if len(own) > 0 {
		e.asking(own[0], routes, above(route, gateways, policies))
		return append(all, own[0])
	}
	if rules := route.spec("rules").items(); len(rules) > 0 && len(all) == len(rules) {
		return all
	}
	for _, parent := range route.spec("parentRefs").items() {
		of, given := ofParent(route, parent, gateways, policies)
		switch {
		case len(of) > 0:
			e.asking(of[0], routes, nil)
			all = append(all, of[0])
		case !given:
			e.findIn(gatewayMends, notSeen, parent, routes, "the Gateway "+strconv.Quote(parent.get("name").string())+" was not given, and no SecurityPolicy is for the route itself")
		default:
			e.find("gateway-no-policy", route.spec(), routes, "no SecurityPolicy is for the route, nor for its Gateway "+strconv.Quote(parent.get("name").string()))
		}
	}
	if len(route.spec("parentRefs").items()) == 0 {
		e.find("gateway-no-policy", route.spec(), routes, "the route has no parentRefs, and no SecurityPolicy")
	}
	return all
}

// ofRules are the policies of single rules of a route.
func (e *examiner) ofRules(route object, policies objects) objects {
	var all objects
	for _, rule := range route.spec("rules").items() {
		name := rule.get("name").string()
		if of := policies.targeting(route, name); name != "" && len(of) > 0 {
			part := route.route()
			part.Match = "rule " + name
			e.asking(of[0], []Route{part}, nil)
			all = append(all, of[0])
		}
	}
	return all
}

// asking finds a policy that is in force and does not ask.
func (e *examiner) asking(p object, routes []Route, replaced objects) {
	auth := p.spec("extAuth")
	switch {
	case auth.get("grpc") != nil || p.spec("mergeType") != nil:
	case auth != nil:
		e.find("gateway-no-policy", auth, routes, "extAuth asks over HTTP; Sallyport speaks gRPC (extAuth.grpc)")
	case len(replaced) > 0:
		e.find("gateway-policy-replaced", p.spec(), routes, "the SecurityPolicy "+p.name+" has no extAuth, and replaces "+replaced[0].name+", which has")
	default:
		e.find("gateway-policy-replaced", p.spec(), routes, "the SecurityPolicy "+p.name+" is in force here, and has no extAuth")
	}
}

// above are the policies of a route's Gateways.
func above(route object, gateways, policies objects) objects {
	var all objects
	for _, parent := range route.spec("parentRefs").items() {
		of, _ := ofParent(route, parent, gateways, policies)
		all = append(all, of...)
	}
	return all
}

// ofParent are the policies of a parentRef, the more specific first; given tells whether it is there.
func ofParent(route object, parent *node, gateways, policies objects) (of objects, given bool) {
	namespace := parent.get("namespace").string()
	if namespace == "" {
		namespace = route.namespace
	}
	for _, g := range gateways {
		if g.name != parent.get("name").string() || g.namespace != namespace {
			continue
		}
		given = true
		if section := parent.get("sectionName").string(); section != "" {
			of = append(of, policies.targeting(g, section)...)
		}
		of = append(of, policies.targeting(g, "")...)
	}
	return of, given
}

// targeting are the policies for an object, or for a section of it.
func (all objects) targeting(target object, section string) objects {
	var out objects
	for _, p := range all {
		refs := slices.Concat(p.spec("targetRefs").items(), p.specItem("targetRef"))
		named := slices.ContainsFunc(refs, func(ref *node) bool {
			return ref.get("kind").string() == target.kind && ref.get("name").string() == target.name && ref.get("sectionName").string() == section
		})
		selected := section == "" && slices.ContainsFunc(p.spec("targetSelectors").items(), func(s *node) bool {
			return s.get("kind").string() == target.kind && selects(s.get("matchLabels"), target.labels())
		})
		if p.namespace == target.namespace && (named || selected) {
			out = append(out, p)
		}
	}
	return out
}

// extAuth judges how Envoy will ask.
func (e *examiner) extAuth(given objects, auth *node, routes []Route) {
	if at := auth.get("failOpen"); at.isTrue() {
		e.findIn(gatewayMends, "failure-mode-allow", at, routes, "whoever can make a check fail gets in, and a mistake in this policy lets everybody in")
	}
	e.patience(gatewayMends, auth, routes, "10 s")
	if auth.get("statusOnError") == nil {
		e.findIn(gatewayMends, "status-on-error", auth, routes, "a check that failed is answered 403, as a denial is")
	}
	if at := auth.get("recomputeRoute"); at.isTrue() {
		e.findIn(gatewayMends, "route-cache-cleared", at, routes, "after the check Envoy chooses the route again, and the new one may be a route that is checked otherwise or not at all")
	}
	if e.Needs.readsCertificate() {
		e.findIn(gatewayMends, "certificate-not-sent", auth, routes, "the policy reads the client's certificate, and Envoy Gateway does not send it")
	}
	e.extAuthHeaders(auth, routes)
	switch body := auth.get("bodyToExtAuth"); {
	case body == nil && e.Needs.readsBody():
		e.findIn(gatewayMends, "body-not-sent", auth, routes, "the policy reads bodies, and bodyToExtAuth is not set: it sees none")
	case body != nil:
		e.resourceBody(body, "maxRequestBytes", routes)
	}
	e.backends(given, auth.get("grpc"), routes)
}

func (e *examiner) extAuthHeaders(auth *node, routes []Route) {
	list := auth.get("headersToExtAuth")
	if len(list.items()) == 0 {
		return
	}
	var hidden []string
	for _, name := range e.Needs.headersRead() {
		if !slices.ContainsFunc(list.items(), func(n *node) bool { return strings.EqualFold(n.text, name) }) {
			hidden = append(hidden, name)
		}
	}
	if len(hidden) > 0 {
		e.findIn(gatewayMends, "headers-hidden", list, routes, "Sallyport reads "+strings.Join(hidden, ", ")+", and Envoy does not send it: a rule that denies by it does not")
	}
}

// backends judges the way to Sallyport.
func (e *examiner) backends(given objects, grpc *node, routes []Route) {
	if grpc.get("backendSettings", "healthCheck") == nil {
		e.findIn(gatewayMends, "no-health-check", grpc, routes, "Envoy asks a server that is not ready or drains as it asks any other")
	}
	for _, ref := range append(slices.Clone(grpc.get("backendRefs").items()), grpc.get("backendRef")) {
		name := ref.get("name").string()
		if ref == nil || ref.get("kind").string() == "Backend" {
			continue // a Backend may be a socket
		}
		secured := slices.ContainsFunc(given.of("BackendTLSPolicy"), func(p object) bool {
			return slices.ContainsFunc(p.spec("targetRefs").items(), func(t *node) bool { return t.get("name").string() == name })
		})
		if !secured {
			e.findIn(gatewayMends, "plain-text", ref, routes, "checks go to "+strconv.Quote(name)+" in plain text (no BackendTLSPolicy for it): whoever is on the way reads tokens and can answer yes")
		}
	}
}

// clients judges what is believed of clients.
func (e *examiner) clients(given objects) {
	for _, p := range given.of("ClientTrafficPolicy") {
		routes := []Route{p.route()}
		if at := p.spec("path", "disableMergeSlashes"); at.isTrue() {
			f := e.findIn(gatewayMends, "slashes-not-merged", at, routes, "// in a path stays: Sallyport refuses it, where Envoy could mend it")
			if e.Needs.FlagsAmbiguousPaths {
				f.Severity = Unbound
			}
		}
		if at := p.spec("path", "escapedSlashesAction"); at.string() == "KeepUnchanged" && e.Needs.FlagsAmbiguousPaths {
			e.findIn(gatewayMends, "escaped-slashes-kept", at, routes, "%2f and %5c in a path stay, and Sallyport passes them to the policy (request.ambiguousPaths: flag)")
		}
		switch at := p.spec("headers", "xForwardedClientCert", "mode"); at.string() {
		case "AlwaysForwardOnly":
			e.findIn(gatewayMends, "client-cert-header-trusted", at, routes, "x-forwarded-client-cert of any client goes on as it came")
		case "ForwardOnly", "AppendForward":
			e.findIn(gatewayMends, "client-cert-header-trusted", at, routes, "x-forwarded-client-cert of a client with a certificate goes on").Severity = Weak
		}
		if at := p.spec("headers", "withUnderscoresAction"); at.string() == "Allow" {
			e.findIn(gatewayMends, "underscores-allowed", at, routes, "a client's x_user passes where x-user is meant")
		}
		validation := p.spec("tls", "clientValidation")
		if e.Needs.readsPrincipal() && (validation == nil || validation.get("optional").isTrue()) {
			e.findIn(gatewayMends, "certificate-not-required", orElse(validation, p.spec()), routes, "the policy reads who the client is by its certificate, and a client may come without one")
		}
	}
}

// filterOrder finds filters that were put before the check, and do what they are told to.
func (e *examiner) filterOrder(given objects) {
	const filters, authz = "envoy.filters.http.", "ext_authz"
	for _, p := range given.of("EnvoyProxy") {
		for _, entry := range p.spec("filterOrder").items() {
			name := strings.TrimPrefix(entry.get("name").string(), filters)
			if name != authz && entry.get("before").string() != filters+authz {
				continue
			}
			at := entry.get("before")
			if name == authz {
				at = entry.get("after")
				name = strings.TrimPrefix(at.string(), filters)
			}
			if slices.Contains(codeFilters, name) || slices.Contains(answeringFilters, name) {
				e.find("gateway-filter-order", at, []Route{p.route()}, "the filter "+strconv.Quote(filters+name)+" runs before the check, and may answer in its place")
			}
		}
	}
}
