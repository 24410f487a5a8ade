package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// TLS is a listener's certificate, and whom it takes for a client. The files are read again when they
// change; what cannot be used does not replace what is in use.
type TLS struct {
	CertFile string // PEM
	KeyFile  string

	ClientCAFile string // PEM; set: clients must present a certificate that it signed
	// AllowedClients are the SPIFFE ids or DNS names of the client certificates to accept; empty: any
	// that ClientCAFile signed. It needs ClientCAFile.
	AllowedClients []string
}

// config is that of a listener, which looks at files again at every handshake.
func (t *TLS) config(files *certificates) (*tls.Config, error) {
	if t.ClientCAFile == "" && len(t.AllowedClients) > 0 {
		return nil, fmt.Errorf("server: %s: allowedClients needs clientCAFile", files.setting)
	}
	files.tls, files.looked = t, files.now()
	if _, err := files.read(); err != nil {
		return nil, fmt.Errorf("server: %s: %w", files.setting, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: files.protocols, GetConfigForClient: files.forClient}, nil
}

// verifyClient runs after the chain was verified, on resumed connections too.
func (t *TLS) verifyClient(state tls.ConnectionState) error {
	if len(t.AllowedClients) == 0 || Named(state.PeerCertificates[0], t.AllowedClients) {
		return nil
	}
	return fmt.Errorf("server: allowedClients has no name of the client's certificate: %s", names(state.PeerCertificates[0]))
}

// names are those of a certificate that allowedClients could have.
func names(leaf *x509.Certificate) string {
	all := slices.Clone(leaf.DNSNames)
	for _, uri := range leaf.URIs {
		all = append(all, uri.String())
	}
	if len(all) == 0 {
		return "it has none"
	}
	return strings.Join(all, ", ")
}

// Named tells whether a certificate has one of the names. A SPIFFE id is the only URI of its
// certificate (X.509-SVID, section 2); DNS names are compared without regard to case, and one with
// a wildcard is no client's name.
func Named(leaf *x509.Certificate, names []string) bool {
	if len(leaf.URIs) == 1 && slices.Contains(names, leaf.URIs[0].String()) {
		return true
	}
	return slices.ContainsFunc(leaf.DNSNames, func(name string) bool {
		return slices.ContainsFunc(names, func(allowed string) bool { return strings.EqualFold(name, allowed) })
	})
}
