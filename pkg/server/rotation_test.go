package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sallyport/sallyport/pkg/server"
)

// A rotation has a server whose files are replaced, and clients that connect all the time.
type rotation struct {
	dir      string
	old, new authority
	server   *server.Server
	cert     atomic.Pointer[tls.Certificate] // of the clients
	calls    atomic.Int64
}

func startRotation(t *testing.T) *rotation {
	r := &rotation{dir: t.TempDir(), old: newAuthority(t), new: newAuthority(t)}
	r.old.issue(t, r.dir, "server", "", "sallyport")
	r.authorities(t, r.old)
	r.client(t, r.old)
	var seconds atomic.Int64 // every handshake comes a second later
	r.server, _ = start(t, server.Config{
		GRPC: loopback(), Admin: loopback(), TLS: r.tls(), AdminTLS: r.tls(),
		Now: func() time.Time { return time.Unix(seconds.Add(1), 0) },
	})
	return r
}

func (r *rotation) tls() *server.TLS {
	return &server.TLS{
		CertFile: filepath.Join(r.dir, "server.crt"), KeyFile: filepath.Join(r.dir, "server.key"),
		ClientCAFile: filepath.Join(r.dir, "ca.crt"), AllowedClients: []string{"spiffe://example.org/envoy"},
	}
}

// authorities replaces the file of the clients' authorities.
func (r *rotation) authorities(t *testing.T, authorities ...authority) {
	t.Helper()
	var text []byte
	for _, a := range authorities {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})...)
	}
	replace(t, filepath.Join(r.dir, "ca.crt"), text)
}

func replace(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// client gives the clients a certificate of an authority.
func (r *rotation) client(t *testing.T, a authority) {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(a.issue(t, t.TempDir(), "client", "spiffe://example.org/envoy", ""))
	if err != nil {
		t.Fatal(err)
	}
	r.cert.Store(&cert)
}

func (r *rotation) clientTLS(cert *tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(r.old.cert)
	roots.AddCert(r.new.cert)
	return &tls.Config{RootCAs: roots, ServerName: "sallyport", MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*cert}}
}

// call asks over a new connection, and says who signed the server's certificate.
func (r *rotation) call(t *testing.T, cert *tls.Certificate) (issuedBy []byte, err error) {
	config := r.clientTLS(cert)
	config.VerifyConnection = func(state tls.ConnectionState) error {
		issuedBy = state.VerifiedChains[0][1].Raw
		return nil
	}
	conn, err := grpc.NewClient(r.server.GRPCAddr().String(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_, err = healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
	return issuedBy, err
}

// Certificates and authorities are replaced, half of it at a time, while clients connect without a
// pause; no call fails. In the end the old ones are worth nothing.
func TestRotation(t *testing.T) {
	r := startRotation(t)
	old := r.cert.Load()
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := r.call(t, r.cert.Load()); err != nil {
					t.Errorf("a call failed: %v", err)
				}
				r.calls.Add(1)
			}
		})
	}
	fresh := t.TempDir()
	certFile, keyFile := r.new.issue(t, fresh, "server", "", "sallyport")
	for _, step := range []func(){
		func() { r.authorities(t, r.old, r.new) },
		func() { r.client(t, r.new) },
		func() { r.copy(t, certFile) }, // does not fit to the key yet
		func() { r.copy(t, keyFile) },
		func() { replace(t, filepath.Join(r.dir, "ca.crt"), []byte("broken")) },
		func() { r.authorities(t, r.new) },
	} {
		r.await(20)
		step()
	}
	r.await(20)
	close(stop)
	clients.Wait()

	if by, err := r.call(t, r.cert.Load()); err != nil || !slices.Equal(by, r.new.cert.Raw) {
		t.Errorf("the server's certificate is not the new one; error %v", err)
	}
	if _, err := r.call(t, old); err == nil {
		t.Error("a certificate of the old authority is still taken")
	}
	if err := r.admin(r.cert.Load()); err != nil {
		t.Errorf("the admin listener: %v", err)
	}
	if err := r.admin(old); err == nil {
		t.Error("the admin listener takes a certificate of the old authority")
	}
	t.Logf("%d calls, each over a connection of its own", r.calls.Load())
}

// await lets the clients make some more calls.
func (r *rotation) await(calls int64) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := r.calls.Load() + calls; r.calls.Load() < end; {
		<-tick.C
	}
}

func (r *rotation) copy(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, filepath.Join(r.dir, filepath.Base(file)), text)
}

func (r *rotation) admin(cert *tls.Certificate) error {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: r.clientTLS(cert), DisableKeepAlives: true}}
	resp, err := client.Get("https://" + r.server.AdminAddr().String() + "/healthz")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
