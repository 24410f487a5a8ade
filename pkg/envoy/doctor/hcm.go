package doctor

import (
	"strconv"
	"strings"
)

// paths looks at whether the path that is checked is the path that the upstream serves.
func (e *examiner) paths(m manager) {
	routes := labels(m.routes)
	e.path("path-not-normalized", m.hcm, "normalize_path", routes)
	e.path("slashes-not-merged", m.hcm, "merge_slashes", routes)
	switch at := m.hcm.get("path_with_escaped_slashes_action"); at.string() {
	case "", "IMPLEMENTATION_SPECIFIC_DEFAULT", "KEEP_UNCHANGED", "0", "1":
		if e.Needs.FlagsAmbiguousPaths {
			e.find("escaped-slashes-kept", orElse(at, m.hcm), routes, "%2f and %5c in a path stay, and Sallyport passes them to the policy (request.ambiguousPaths: flag)")
		}
	}
	tables := map[*node]bool{}
	for _, r := range m.routes {
		if len(r.levels) > 0 {
			tables[r.levels[len(r.levels)-1]] = true
		}
		if r.at.get("match", "case_sensitive").isFalse() {
			e.find("case-insensitive-match", r.at.get("match", "case_sensitive"), []Route{r.Route}, "the route takes every spelling of the path; the policy sees the one that was sent")
		}
	}
	for table := range tables {
		if at := table.get("ignore_path_parameters_in_path_matching"); at.isTrue() {
			e.find("path-parameters-ignored", at, routes, "routes are chosen without what follows a \";\" in the path; the policy sees it")
		}
	}
}

// path finds a setting for paths that is off. Sallyport refuses such paths itself, unless it is told not to.
func (e *examiner) path(code string, hcm *node, setting string, routes []Route) {
	at := hcm.get(setting)
	if at.isTrue() {
		return
	}
	message := setting + " is off: Sallyport refuses what it would mend"
	if e.Needs.FlagsAmbiguousPaths {
		message = setting + " is off, and Sallyport passes ambiguous paths to the policy (request.ambiguousPaths: flag)"
	}
	f := e.find(code, orElse(at, hcm), routes, message)
	if e.Needs.FlagsAmbiguousPaths {
		f.Severity = Unbound
	}
}

// orElse is a setting's place, or where it would stand.
func orElse(at, above *node) *node {
	if at == nil {
		return above
	}
	return at
}

// trust looks at headers of the client that pass for Envoy's own.
func (e *examiner) trust(m manager) {
	routes := labels(m.routes)
	switch at := m.hcm.get("forward_client_cert_details"); at.string() {
	case "ALWAYS_FORWARD_ONLY", "4":
		e.find("client-cert-header-trusted", at, routes, "x-forwarded-client-cert of any client goes on as it came")
	case "FORWARD_ONLY", "1", "APPEND_FORWARD", "2":
		f := e.find("client-cert-header-trusted", at, routes, "x-forwarded-client-cert of a client with a certificate goes on")
		if !e.Needs.readsHeader("x-forwarded-client-cert") {
			f.Severity = Weak
		}
	}
	if !m.hcm.get("use_remote_address").isTrue() && m.hcm.get("original_ip_detection_extensions") == nil {
		f := e.find("client-address-trusted", orElse(m.hcm.get("use_remote_address"), m.hcm), routes, "x-forwarded-for and x-envoy-* of any client are believed")
		for _, read := range e.Needs.Reads {
			if name := strings.TrimPrefix(read, inputHTTP+".headers."); name == "x-forwarded-for" || strings.HasPrefix(name, "x-envoy-") {
				f.Severity = Unbound
			}
		}
	}
	options := m.hcm.get("common_http_protocol_options")
	switch options.get("headers_with_underscores_action").string() {
	case "", "ALLOW", "0":
		e.find("underscores-allowed", orElse(options, m.hcm), routes, "a client's x_user passes where x-user is meant; an upstream that reads headers as CGI does takes one for the other (Sallyport removes both for headers that it sets)")
	}
}

// forwarding looks at what routes do to requests that were let in.
func (e *examiner) forwarding(m manager) {
	for _, r := range m.routes {
		routes := []Route{r.Route}
		for _, level := range r.levels {
			for _, added := range level.get("request_headers_to_add").items() {
				if key := added.get("header", "key"); e.identity(key.string()) {
					e.find("identity-header-set", key, routes, "Envoy adds to "+strconv.Quote(key.string())+", which Sallyport sets, after the check"+fromClient(added))
				}
			}
			if at := level.get("cluster_header"); at != nil {
				e.find("upstream-by-header", at, routes, "the header "+strconv.Quote(at.string())+" chooses the upstream")
			}
		}
		action := r.at.get("route")
		for _, field := range []string{"cluster_header", "host_rewrite_header"} {
			if at := action.get(field); at != nil {
				e.find("upstream-by-header", at, routes, "the header "+strconv.Quote(at.string())+", which a client may send, says where the request goes")
			}
		}
		if at := action.oneOf("prefix_rewrite", "regex_rewrite", "path_rewrite_policy", "path_rewrite"); at != nil {
			e.find("path-rewritten", at, routes, "the policy sees the path before this rewrite, the upstream the one after it")
		}
	}
}

// fromClient says that a value is a client's.
func fromClient(added *node) string {
	if strings.Contains(added.get("header", "value").string(), "%REQ(") {
		return ", with a value that a client may send"
	}
	return ""
}
