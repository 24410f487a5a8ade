package server_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/server"
)

// Whom TLS refuses is told by name, though not more often than once a second.
func TestRefusedClientsAreTold(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	certFile, keyFile := ca.issue(t, dir, "server", "", "sallyport")
	caFile := filepath.Join(dir, "ca.crt")
	write(t, caFile, "CERTIFICATE", ca.cert.Raw)
	intern, err := tls.LoadX509KeyPair(ca.issue(t, dir, "client", "spiffe://example.org/intern", ""))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	var clock atomic.Int64
	var log bytes.Buffer
	s, stop := start(t, server.Config{
		GRPC:   loopback(),
		TLS:    &server.TLS{CertFile: certFile, KeyFile: keyFile, ClientCAFile: caFile, AllowedClients: []string{"spiffe://example.org/envoy"}},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Now:    func() time.Time { return time.Now().Add(time.Duration(clock.Load())) },
	})
	refused := func(certificates ...tls.Certificate) {
		t.Helper()
		raw, err := net.Dial("tcp", s.GRPCAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		config := &tls.Config{RootCAs: roots, ServerName: "sallyport", MinVersion: tls.VersionTLS13, Certificates: certificates, NextProtos: []string{"h2"}}
		if _, err := tls.Client(raw, config).Read(make([]byte, 1)); err == nil {
			t.Fatal("not refused")
		}
		_, _ = io.Copy(io.Discard, raw) // until the server has closed it, and has told
	}
	refused(intern)
	clock.Store(int64(-time.Hour)) // no second passes
	refused(intern)
	refused()
	clock.Store(int64(time.Hour))
	refused()
	hangUp, err := net.Dial("tcp", s.GRPCAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	hangUp.Close()
	stop()
	var told []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "refused by TLS") {
			told = append(told, line)
		}
	}
	if len(told) != 2 || !strings.Contains(told[0], "spiffe://example.org/intern") || !strings.Contains(told[0], "listen.tls") ||
		!strings.Contains(told[1], "client didn't provide a certificate") || !strings.Contains(told[1], "untold=2") {
		t.Errorf("the log has\n%s", strings.Join(told, ""))
	}
}
