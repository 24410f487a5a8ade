package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
)

// TLS is the gRPC listener's certificate, and whom it takes for a client.
type TLS struct {
	CertFile string // PEM; read at every handshake, so that a rotated certificate is served at once
	KeyFile  string

	ClientCAFile string // PEM; set: clients must present a certificate that it signed
	// AllowedClients are the URI or DNS names of the client certificates to accept; empty: any
	// that ClientCAFile signed. It needs ClientCAFile.
	AllowedClients []string
}

func (t *TLS) config() (*tls.Config, error) {
	if _, err := t.certificate(nil); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: t.certificate, NextProtos: []string{"h2"}}
	if t.ClientCAFile == "" {
		if len(t.AllowedClients) > 0 {
			return nil, errors.New("server: listen.tls: allowedClients needs clientCAFile")
		}
		return config, nil
	}
	pem, err := os.ReadFile(t.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("server: listen.tls.clientCAFile: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("server: listen.tls.clientCAFile: no certificate in %s", t.ClientCAFile)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.VerifyConnection = t.verifyClient
	return config, nil
}

func (t *TLS) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("server: listen.tls: %w", err)
	}
	return &certificate, nil
}

// verifyClient runs after the chain was verified, on resumed connections too.
func (t *TLS) verifyClient(state tls.ConnectionState) error {
	if len(t.AllowedClients) == 0 {
		return nil
	}
	leaf := state.PeerCertificates[0]
	for _, uri := range leaf.URIs {
		if slices.Contains(t.AllowedClients, uri.String()) {
			return nil
		}
	}
	for _, name := range leaf.DNSNames {
		if slices.Contains(t.AllowedClients, name) {
			return nil
		}
	}
	return errors.New("server: the client's certificate has no name in listen.tls.allowedClients")
}
