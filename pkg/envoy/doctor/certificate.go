package doctor

// certificate looks at whether a caller's certificate is there, and proves something.
func (e *examiner) certificate(c chain, k check) {
	routes := labels(k.routes)
	reads := e.Needs.readsCertificate()
	if !k.config.get("include_peer_certificate").isTrue() {
		at := orElse(k.config.get("include_peer_certificate"), k.config)
		switch {
		case reads:
			e.find("certificate-not-sent", at, routes, "the policy reads the client's certificate, and Envoy does not send it")
		case c.tls.get("common_tls_context") != nil && verifies(c.tls) != nil:
			e.find("bound-tokens-refused", at, routes, "a token that is bound to a certificate (cnf, RFC 8705) is refused, since the certificate is not sent")
		}
	}
	e.unverifiedCertificate(c, routes)
	required := c.tls.get("require_client_certificate")
	switch {
	case !reads && !e.Needs.readsPrincipal():
	case c.tls == nil && c.at.get("transport_socket") != nil: // an Istio sidecar's, or another that is not known
	case c.tls == nil:
		e.find("certificate-not-required", c.at, routes, "the policy reads who the client is by its certificate, and this chain is plain text: there is none")
	case !required.isTrue():
		e.find("certificate-not-required", orElse(required, c.tls), routes, "the policy reads who the client is by its certificate, and a client may come without one")
	}
}

// unverifiedCertificate finds certificates that anybody can make.
func (e *examiner) unverifiedCertificate(c chain, routes []Route) {
	if c.tls == nil {
		return
	}
	validation := verifies(c.tls)
	trust := validation.get("trust_chain_verification")
	switch {
	case trust.string() == "ACCEPT_UNTRUSTED" || trust.string() == "1":
		e.find("certificate-not-verified", trust, routes, "certificates are taken from any authority, and anybody's principal with them")
	case validation == nil && c.tls.get("require_client_certificate").isTrue():
		e.find("certificate-not-verified", c.tls.get("require_client_certificate"), routes, "a certificate is required and not verified: anybody can make one")
	}
}

// verifies is what the peer's certificate is verified by; nil: nothing.
func verifies(tls *node) *node {
	context := tls.get("common_tls_context")
	if combined := context.get("combined_validation_context"); combined != nil {
		return orElse(combined.get("default_validation_context"), combined)
	}
	return context.oneOf("validation_context", "validation_context_sds_secret_config",
		"validation_context_certificate_provider_instance", "validation_context_certificate_provider", "custom_handshaker")
}
