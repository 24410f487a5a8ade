package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/server"
)

func loopback() server.Address { return server.Address{Network: "tcp", Address: "127.0.0.1:0"} }

// start serves cfg until the test or stop ends it.
func start(t *testing.T, cfg server.Config) (*server.Server, func()) {
	t.Helper()
	if cfg.Register == nil {
		cfg.Register = func(grpc.ServiceRegistrar) {}
	}
	s, err := server.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func connect(t *testing.T, target string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestHealth(t *testing.T) {
	s, _ := start(t, server.Config{GRPC: loopback(), Services: []string{"a.Service"}})
	health := healthpb.NewHealthClient(connect(t, s.GRPCAddr().String(), insecure.NewCredentials()))
	for _, service := range []string{"", "a.Service"} {
		response, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
		if err != nil || response.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("service %q: %v, %v", service, response, err)
		}
	}
	if s.AdminAddr() != nil {
		t.Errorf("an admin listener at %v that nobody asked for", s.AdminAddr())
	}
}

func TestAdmin(t *testing.T) {
	var unready error
	s, _ := start(t, server.Config{GRPC: loopback(), Admin: loopback(), Ready: func() error { return unready }})
	get := func(path string) (int, string) {
		resp, err := http.Get("http://" + s.AdminAddr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, _ := get(path); code != 200 {
			t.Errorf("%s answers %d", path, code)
		}
	}
	unready = errors.New("policy: no bundle yet")
	if code, body := get("/readyz"); code != 503 || !strings.Contains(body, "no bundle yet") {
		t.Errorf("/readyz answers %d %q", code, body)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	address := server.Address{Network: "unix", Address: path}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false) // as if the process had been killed
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}

	start(t, server.Config{GRPC: address})
	health := healthpb.NewHealthClient(connect(t, "unix://"+path, insecure.NewCredentials()))
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("over the socket that replaced a stale one: %v", err)
	}
	if _, err := server.New(t.Context(), server.Config{GRPC: address, Register: func(grpc.ServiceRegistrar) {}}); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a second server on the socket: %v", err)
	}
}

func TestTakenPort(t *testing.T) {
	s, _ := start(t, server.Config{GRPC: loopback()})
	taken := server.Address{Network: "tcp", Address: s.GRPCAddr().String()}
	for name, cfg := range map[string]server.Config{
		"listen.grpc":  {GRPC: taken},
		"listen.admin": {GRPC: loopback(), Admin: taken},
	} {
		cfg.Register = func(grpc.ServiceRegistrar) {}
		if _, err := server.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v does not name the setting", name, err)
		}
	}
}

// A call that runs when the server is told to stop is finished; one that hangs is cut off.
func TestDrain(t *testing.T) {
	for name, tc := range map[string]struct {
		hangs    bool
		wantCode codes.Code
	}{
		"finished": {false, codes.OK},
		"cut off":  {true, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			entered, finish := make(chan struct{}), make(chan struct{})
			s, stop := start(t, server.Config{GRPC: loopback(), DrainTimeout: 100 * time.Millisecond, Register: slowService(entered, finish)})
			conn := connect(t, s.GRPCAddr().String(), insecure.NewCredentials())
			result := make(chan error, 1)
			go func() {
				result <- conn.Invoke(context.Background(), "/test.Slow/Call", &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
			}()
			<-entered
			if !tc.hangs {
				finish <- struct{}{}
			}
			stop()
			if err := <-result; status.Code(err) != tc.wantCode {
				t.Errorf("the running call ended with %v, want %v", err, tc.wantCode)
			}
		})
	}
}

func slowService(entered, finish chan struct{}) func(grpc.ServiceRegistrar) {
	return func(registrar grpc.ServiceRegistrar) {
		registrar.RegisterService(&grpc.ServiceDesc{
			ServiceName: "test.Slow", HandlerType: (*any)(nil),
			Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				if err := decode(&healthpb.HealthCheckRequest{}); err != nil {
					return nil, err
				}
				close(entered)
				select {
				case <-finish:
				case <-ctx.Done():
				}
				return &healthpb.HealthCheckResponse{}, nil
			}}},
		}, nil)
	}
}

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
