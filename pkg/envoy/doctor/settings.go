package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// longest is how long a check may reasonably hold a request. It is our own ceiling's default.
const longest = 5 * time.Second

// settings looks at how the filter asks, and what it does with the answer.
func (e *examiner) settings(k check) {
	routes := labels(k.routes)
	if at := k.config.get("failure_mode_allow"); at.isTrue() {
		e.find("failure-mode-allow", at, routes, "whoever can make a check fail gets in: by a timeout, a lost connection, an overload")
	}
	if at := k.config.get("shadow_mode"); at.isTrue() {
		e.find("shadow-mode", at, routes, "denials are noted and not carried out")
	}
	if at := k.config.get("clear_route_cache"); at.isTrue() {
		e.find("route-cache-cleared", at, routes, "after the check Envoy chooses the route again, and the new one may be a route that is checked otherwise or not at all")
	}
	if k.config.get("status_on_error", "code") == nil {
		e.find("status-on-error", k.config, routes, "a check that failed is answered 403, as a denial is")
	}
	if !k.config.get("encode_raw_headers").isTrue() {
		e.find("headers-joined", k.config, routes, "Envoy joins repeated headers with commas, and replaces bytes that are not UTF-8, before Sallyport sees them")
	}
	e.mutations(k)
	e.asks(k.config, k.config.get("grpc_service"), routes)
	for _, r := range k.routes { // a route may ask another server
		if service := r.of(k.filter).settings.get("check_settings", "grpc_service"); service != nil {
			e.asks(k.config, service, []Route{r.Route})
		}
	}
}

// asks looks at the service that is asked.
func (e *examiner) asks(config, service *node, routes []Route) {
	limit := max(longest, e.Needs.Timeout)
	switch at := service.get("timeout"); {
	case at == nil:
		e.find("timeout-default", service, routes, "no timeout is set: it is 200 ms")
	default:
		switch value, ok := at.duration(); {
		case ok && value == 0:
			e.find("timeout-infinite", at, routes, "a timeout of 0s is none (since Envoy 1.38): a server that hangs holds every request")
		case ok && value > limit:
			e.find("timeout-long", at, routes, fmt.Sprintf("a check may hold a request for %s", value))
		}
	}
	if google := service.get("google_grpc"); google != nil {
		e.googleTransport(google, routes)
		return
	}
	if service == nil {
		e.find(notSeen, config, routes, "the filter names no gRPC service")
		return
	}
	e.transport(service.get("envoy_grpc", "cluster_name"), routes)
}

// mutations finds rules by which Envoy drops what Sallyport does to a request.
func (e *examiner) mutations(k check) {
	rules := k.config.get("decoder_header_mutation_rules")
	if rules == nil || rules.get("disallow_is_error").isTrue() {
		return
	}
	allowed := rules.get("allow_expression", "regex").string()
	denied := rules.get("disallow_expression", "regex").string()
	var dropped []string
	for _, name := range e.Needs.IdentityHeaders {
		switch {
		case denied != "" && matches(denied, name), rules.get("disallow_all").isTrue() && (allowed == "" || !matches(allowed, name)):
			dropped = append(dropped, name)
		}
	}
	if len(dropped) == 0 && rules.get("disallow_all").isTrue() && allowed == "" {
		dropped = []string{"every header"}
	}
	if len(dropped) > 0 {
		e.find("mutations-dropped", rules, labels(k.routes), "Envoy does not do what Sallyport says of "+strings.Join(dropped, ", ")+": what the client sent goes upstream")
	}
}

// body compares what Envoy sends of bodies with what is read.
func (e *examiner) body(k check) {
	at := k.config.get("with_request_body")
	for _, r := range k.routes {
		settings := r.of(k.filter).settings.get("check_settings")
		buffer := at
		if own := settings.get("with_request_body"); own != nil {
			buffer = own
		}
		switch off := settings.get("disable_request_body_buffering"); {
		case off.isTrue() && e.Needs.readsBody():
			e.find("body-not-sent", off, []Route{r.Route}, "the policy reads bodies, and this route does not send them")
		case off.isTrue():
		case buffer == nil && e.Needs.readsBody():
			e.find("body-not-sent", k.config, []Route{r.Route}, "the policy reads bodies, and with_request_body is not set: it sees none")
		case buffer != nil:
			e.buffer(buffer, []Route{r.Route})
		}
	}
}

func (e *examiner) buffer(at *node, routes []Route) {
	limit := at.get("max_request_bytes").number()
	if own := e.Needs.MaxBodyBytes; own > 0 && int64(limit) != own {
		f := e.find("body-limit-differs", at.get("max_request_bytes"), routes, fmt.Sprintf("max_request_bytes is %d, and Sallyport's request.maxBodyBytes is %d: %s", int64(limit), own, limitConsequence(int64(limit), own)))
		f.Mend = "max_request_bytes: " + strconv.FormatInt(own, 10)
	}
	if !at.get("allow_partial_message").isTrue() {
		e.find("body-refused-unchecked", at, routes, "Envoy answers a longer body with 413, without a check and a record")
	}
	if !at.get("pack_as_bytes").isTrue() {
		e.find("body-as-text", at, routes, `the policy reads "!" for bytes that are not UTF-8, which the upstream gets as they are`)
	}
}

func limitConsequence(limit, own int64) string {
	if limit > own {
		return "a body in between is refused"
	}
	return "a body of exactly max_request_bytes may be cut without a mark"
}

// hidden finds lists of headers that keep from Sallyport what it reads.
func (e *examiner) hidden(k check) {
	allowed, disallowed := k.config.get("allowed_headers"), k.config.get("disallowed_headers")
	at := allowed
	var names []string
	for _, name := range e.Needs.headersRead() {
		switch {
		case disallowed.get("patterns").anyMatches(name):
			at = disallowed
		case allowed == nil || allowed.get("patterns").anyMatches(name):
			continue
		}
		names = append(names, name)
	}
	if len(names) > 0 {
		e.find("headers-hidden", at, labels(k.routes), "Sallyport reads "+strings.Join(names, ", ")+", and Envoy does not send it: a rule that denies by it does not")
	}
}

// identity tells whether a header is one of those that Sallyport sets.
func (e *examiner) identity(name string) bool {
	return slices.Contains(e.Needs.IdentityHeaders, strings.ToLower(name))
}
