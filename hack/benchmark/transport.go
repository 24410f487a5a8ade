package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// A transport is the way to Sallyport: TCP, a Unix socket, or mutual TLS with one certificate for both
// sides.
type transport struct {
	unix bool
	pair string // PEM file with the certificate and its key; "": plain
}

// transports are three Sallyports that differ in the way to them; TCP is the measure.
func transports(w *world, sallyport, _ string) ([]*contender, error) {
	pair := filepath.Join(w.dir, "pair.pem")
	if err := writePair(pair); err != nil {
		return nil, err
	}
	return []*contender{
		over(w, sallyport, "tcp", transport{}), over(w, sallyport, "unix", transport{unix: true}), over(w, sallyport, "mtls", transport{pair: pair}),
	}, nil
}

func over(w *world, sallyport, name string, t transport) *contender {
	return &contender{
		name: name, decides: true, over: t, limits: "{wait: 1m}", logs: filepath.Join(w.dir, name+".ndjson"),
		command: []string{sallyport, "serve", "--config", filepath.Join(w.dir, name+".yaml")},
	}
}

func (t transport) address(dir string) (string, error) {
	if t.unix {
		return "unix://" + filepath.Join(dir, "grpc.sock"), nil
	}
	return freeAddress()
}

// settings are those of listen, beside the address.
func (t transport) settings() string {
	if t.pair == "" {
		return ""
	}
	return fmt.Sprintf(", tls: {certFile: %[1]s, keyFile: %[1]s, clientCAFile: %[1]s, allowedClients: [localhost]}", t.pair)
}

func (t transport) dial(ctx context.Context, address string) (net.Conn, error) {
	var dialer net.Dialer
	if path, unix := strings.CutPrefix(address, "unix://"); unix {
		return dialer.DialContext(ctx, "unix", path)
	}
	return dialer.DialContext(ctx, "tcp", address)
}

func (t transport) credentials() (credentials.TransportCredentials, error) {
	if t.pair == "" {
		return insecure.NewCredentials(), nil
	}
	pair, err := tls.LoadX509KeyPair(t.pair, t.pair)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	return credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS13}), nil
}

// writePair makes a certificate that is its own authority.
func writePair(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	return os.WriteFile(file, text, 0o600)
}
