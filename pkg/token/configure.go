package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// configure checks everything and joins the mistakes.
func (v *Verifier) configure(ctx context.Context, cfg Config) error {
	var all []error
	top := mistakes{all: &all}
	if v.leeway > maxLeeway {
		top.add("leeway", "more than %s", maxLeeway)
	}
	if v.maxBytes < 0 || v.maxBytes > hardMaxTokenBytes {
		top.add("maxTokenBytes", "not between 1 and %d", hardMaxTokenBytes)
	}
	v.keep(cfg, top)
	rings := make(map[ringKey]*keyRing)
	var each []mistakes
	for i, r := range cfg.Rules {
		m := mistakes{path: fmt.Sprintf("rules[%d].", i), where: fmt.Sprintf("rules[%d] %q: ", i, r.Name), all: &all}
		before := len(all)
		checked := checkRule(r, m)
		if len(all) == before {
			checked.keys = v.ring(ctx, r, rings, cfg.Logger, m)
		}
		v.rules, each = append(v.rules, checked), append(each, m)
	}
	v.places = checkPlaces(v.rules, cfg.Rules, each)
	outputs := checkUnique(v.rules, each)
	v.checkOverlap(outputs, top)
	return errors.Join(all...)
}

// keep makes what remembers things from check to check.
func (v *Verifier) keep(cfg Config, m mistakes) {
	var err error
	if cfg.CacheBytes >= 0 {
		if v.cache, err = newCache(cmp.Or(cfg.CacheBytes, defaultCacheBytes)); err != nil {
			m.add("cacheBytes", "%w", err)
		}
	}
	if v.certificates, err = newCertificates(); err != nil {
		m.add("rules", "%w", err)
	}
	v.revoked = newRevoker(cfg, v.now, m)
}

// checkUnique refuses names and output headers that come twice, and gives the headers.
func checkUnique(rules []*rule, m []mistakes) (outputs map[string]bool) {
	names := make(map[string]bool)
	outputs = make(map[string]bool)
	for i, r := range rules {
		if names[r.name] {
			m[i].add("name", "another rule has it")
		}
		names[r.name] = true
		for field, header := range r.headers() {
			if outputs[header] {
				m[i].add(field, "%q is set twice", header)
			}
			outputs[header] = true
		}
	}
	return outputs
}

// checkOverlap refuses a header that both carries a token and is written: the one would undo the other.
func (v *Verifier) checkOverlap(outputs map[string]bool, m mistakes) {
	for _, p := range v.places {
		if p.kind == inHeader && outputs[p.name] {
			m.add("rules", "header %q carries a token and is set from a claim or payload", p.name)
		}
	}
}

// A ringKey tells key sources apart; rules with the same one share its keys.
type ringKey struct {
	issuer, use, jwks, file, uri string
	insecure                     bool
	timeout                      time.Duration
}

// ring makes the key ring of a rule. What is at hand, inline or in a file, is read at once, so
// that a mistake in it shows at the start.
func (v *Verifier) ring(ctx context.Context, r Rule, rings map[ringKey]*keyRing, logger *slog.Logger, m mistakes) *keyRing {
	issuer, use := r.Issuer, useSignature
	if r.TrustDomain != "" {
		issuer, use = "spiffe://"+r.TrustDomain, useSVID
	}
	id := ringKey{issuer, use, r.JWKS, r.JWKSFile, r.JWKSURI, r.AllowInsecureHTTP, r.Timeout}
	if ring, found := rings[id]; found {
		return ring
	}
	field, src := v.source(r)
	ring, err := newKeyRing(issuer, use, src, logger, v.now)
	if err != nil {
		m.add("issuer", "%w", err)
		return nil
	}
	ring.timeout = cmp.Or(r.Timeout, attemptTimeout)
	ring.waited = v.observer.Waited
	if field != "" {
		if ring.refresh(ctx); ring.failure != nil {
			m.add(field, "%w", ring.failure)
		}
	}
	rings[id] = ring
	v.rings = append(v.rings, ring)
	return ring
}

// source is where a rule's keys are; field names the setting of a source that is at hand.
func (v *Verifier) source(r Rule) (field string, s source) {
	switch {
	case r.JWKS != "":
		return "jwks", inline{r.JWKS}
	case r.JWKSFile != "":
		return "jwksFile", file{r.JWKSFile}
	case r.JWKSURI != "":
		uri, _ := checkURL(r.JWKSURI, r.AllowInsecureHTTP) // checkKeySource did it before
		return "", &remote{uri: uri, client: v.client, now: v.now}
	}
	issuer, _ := checkURL(r.Issuer, r.AllowInsecureHTTP)
	return "", &remote{issuer: issuer, text: r.Issuer, client: v.client, now: v.now}
}
