package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sallyport/sallyport/pkg/server"
)

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	certFile, keyFile := ca.issue(t, dir, "server", "", "sallyport")
	caFile := filepath.Join(dir, "ca.crt")
	write(t, caFile, "CERTIFICATE", ca.cert.Raw)

	client := func(uri, dns string) *tls.Config {
		roots := x509.NewCertPool()
		roots.AddCert(ca.cert)
		config := &tls.Config{RootCAs: roots, ServerName: "sallyport", MinVersion: tls.VersionTLS12}
		if uri+dns != "" {
			cert, err := tls.LoadX509KeyPair(ca.issue(t, dir, "client", uri, dns))
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{cert}
		}
		return config
	}
	mutual := &server.TLS{CertFile: certFile, KeyFile: keyFile, ClientCAFile: caFile,
		AllowedClients: []string{"spiffe://cluster.local/ns/istio-system/sa/ingress", "envoy.example.org"}}
	anyClient := &server.TLS{CertFile: certFile, KeyFile: keyFile, ClientCAFile: caFile}

	for name, tc := range map[string]struct {
		server *server.TLS
		client *tls.Config
		wantOK bool
	}{
		"server only":           {&server.TLS{CertFile: certFile, KeyFile: keyFile}, client("", ""), true},
		"no client certificate": {anyClient, client("", ""), false},
		"any client":            {anyClient, client("spiffe://cluster.local/ns/x/sa/y", ""), true},
		"allowed by SPIFFE id":  {mutual, client("spiffe://cluster.local/ns/istio-system/sa/ingress", ""), true},
		"allowed by DNS name":   {mutual, client("", "envoy.example.org"), true},
		"another name":          {mutual, client("spiffe://cluster.local/ns/istio-system/sa/other", "other.example.org"), false},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := start(t, server.Config{GRPC: loopback(), TLS: tc.server})
			health := healthpb.NewHealthClient(connect(t, s.GRPCAddr().String(), credentials.NewTLS(tc.client)))
			_, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{})
			if (err == nil) != tc.wantOK {
				t.Errorf("error %v, want success: %v", err, tc.wantOK)
			}
		})
	}
}

func TestBadTLS(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	certFile, keyFile := ca.issue(t, dir, "server", "", "sallyport")
	for want, cfg := range map[string]*server.TLS{
		"no such file":                      {CertFile: "absent", KeyFile: "absent"},
		"clientCAFile":                      {CertFile: certFile, KeyFile: keyFile, ClientCAFile: "absent"},
		"no certificate in":                 {CertFile: certFile, KeyFile: keyFile, ClientCAFile: keyFile},
		"allowedClients needs clientCAFile": {CertFile: certFile, KeyFile: keyFile, AllowedClients: []string{"x"}},
	} {
		if _, err := server.New(t.Context(), server.Config{GRPC: loopback(), TLS: cfg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// An authority signs certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return authority{cert: sign(t, template, template, key, key), key: key}
}

func (a authority) issue(t *testing.T, dir, name, uri, dns string) (certFile, keyFile string) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if uri != "" {
		parsed, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = []*url.URL{parsed}
	}
	if dns != "" {
		template.DNSNames = []string{dns}
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	write(t, certFile, "CERTIFICATE", sign(t, template, a.cert, key, a.key).Raw)
	write(t, keyFile, "EC PRIVATE KEY", der)
	return certFile, keyFile
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func write(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
