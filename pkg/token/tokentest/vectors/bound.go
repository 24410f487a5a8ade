package main

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// bound is about tokens that are bound to a client certificate.
func (f *forge) bound() map[string][]vector {
	der, other := f.certificate("eddsa"), f.certificate("svid-eddsa")
	sum := sha256.Sum256(der)
	with := func(cnf any) string { return f.good(map[string]any{"cnf": cnf}) }
	mine := with(map[string]any{"x5t#S256": encode(sum[:])})
	shown := func(name, text, certificate string, want authz.Reason) vector {
		v := bearer(name, text, want)
		if want == authz.Allowed {
			v.Valid = []string{"users"}
		}
		v.Certificate = certificate
		return v
	}
	cnf := func(name string, cnf any, want authz.Reason) vector { return shown(name, with(cnf), sent(der), want) }
	pair := func(name string) map[string]any { return map[string]any{"x5t#S256": encode(sum[:]), name: "x"} }
	return map[string][]vector{"41-cnf": {
		shown("the certificate", mine, sent(der), authz.Allowed),
		shown("a chain that begins with it", mine, sent(der)+sent(other), authz.Allowed),
		shown("not bound, a certificate", f.good(nil), sent(der), authz.Allowed),
		shown("another certificate", mine, sent(other), authz.TokenBinding),
		shown("a chain that ends with it", mine, sent(other)+sent(der), authz.TokenBinding),
		shown("no certificate", mine, "", authz.TokenBinding),
		shown("no PEM", mine, "x", authz.TokenBinding),
		shown("a bad escape", mine, "%zz", authz.TokenBinding),
		shown("PEM of something else", mine, strings.ReplaceAll(sent(der), "CERTIFICATE", "PUBLIC%20KEY"), authz.TokenBinding),
		cnf("jkt", map[string]any{"jkt": "x"}, authz.TokenBinding), cnf("jkt beside the certificate", pair("jkt"), authz.TokenBinding),
		cnf("jwk beside the certificate", pair("jwk"), authz.TokenBinding), cnf("kid beside the certificate", pair("kid"), authz.TokenBinding),
		cnf("an unknown member beside the certificate", pair("x5t#s256"), authz.TokenBinding),
		cnf("empty", map[string]any{}, authz.TokenClaims), cnf("a string", "x5t#S256", authz.TokenClaims), cnf("an array", []any{}, authz.TokenClaims),
		shown("null", f.with(`"cnf":null`), sent(der), authz.TokenClaims),
		cnf("a number", map[string]any{"x5t#S256": 1}, authz.TokenClaims), cnf("an empty hash", map[string]any{"x5t#S256": ""}, authz.TokenClaims),
		cnf("a short hash", map[string]any{"x5t#S256": encode(sum[:31])}, authz.TokenClaims),
		cnf("a hash in hex", map[string]any{"x5t#S256": strings.Repeat("ab", 32)}, authz.TokenClaims),
		cnf("a padded hash", map[string]any{"x5t#S256": encode(sum[:]) + "="}, authz.TokenClaims),
	}}
}

// certificate makes one that is the same every time, since Ed25519 needs no randomness.
func (f *forge) certificate(id string) []byte {
	key := f.keysByID[id].Private
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: id},
		NotBefore: time.Unix(now, 0), NotAfter: time.Unix(now+3600, 0),
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	f.fail(err)
	return der
}

// sent is a certificate as Envoy sends it: PEM, with what is no letter or digit escaped.
func sent(der []byte) string {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return strings.ReplaceAll(url.QueryEscape(string(text)), "+", "%20")
}
