package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/deploy"
	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// patience bounds every wait of these tests. Reaching it is a failure.
const patience = 20 * time.Second

// A mesh is what a user has: a real Envoy with a bootstrap of deploy/envoy, the Sallyport that it
// asks, an upstream behind it and an issuer, all on loopback.
type mesh struct {
	*sallyport
	upstream *upstream // nil where the test brought its own
	url      string    // of Envoy's HTTP listener
	ports    map[int]int
	admin    string // URL of Envoy's admin listener
	access   *output
}

// A setup says what is special about a mesh.
type setup struct {
	config    string            // file in testdata, of Sallyport
	settings  []edit            // of that file
	network   bool              // deploy/envoy/network.yaml rather than envoy.yaml
	edits     []edit            // of the bootstrap
	files     map[string]string // see envoytest.Options
	upstream  net.Addr          // nil: an upstream that echoes
	collector net.Addr          // nil: there is none
	authz     net.Addr          // nil: Sallyport is asked
}

// An edit replaces a text. In a bootstrap it must be there.
type edit struct{ old, with string }

// patient gives a check the time that a loaded machine may need. Nothing here is about time.
func patient() edit {
	return edit{"timeout: 0.5s", "timeout: 15s"}
}

func startMesh(t *testing.T, s setup) *mesh {
	t.Helper()
	m := newMesh(t, s.network)
	m.sallyport = startSallyport(t, s.config, append(s.settings, edit{"10001", strconv.Itoa(m.ports[10001])})...)
	if s.authz == nil {
		s.authz = m.addr
	}
	m.start(t, s)
	return m
}

// newMesh has its ports; nothing runs yet.
func newMesh(t *testing.T, network bool) *mesh {
	t.Helper()
	envoyBinary(t)
	admin, listener := 9901, 10000
	if network {
		admin, listener = 9902, 10001
	}
	m := &mesh{ports: map[int]int{admin: freePort(t), listener: freePort(t), 4317: freePort(t)}, access: newOutput()}
	m.url = "http://" + envoytest.Loopback(m.ports[listener])
	m.admin = "http://" + envoytest.Loopback(m.ports[admin])
	return m
}

// start runs the upstream and the Envoy that asks s.authz.
func (m *mesh) start(t *testing.T, s setup) {
	t.Helper()
	if s.upstream == nil {
		m.upstream = startUpstream(t)
		s.upstream = m.upstream.addr
	}
	m.ports[8080], m.ports[9191] = port(s.upstream), port(s.authz)
	if s.collector != nil {
		m.ports[4317] = port(s.collector)
	}
	binary, admin := envoyBinary(t), 9901
	if s.network {
		admin = 9902
	}
	process, err := envoytest.Start(t.Context(), envoytest.Options{
		Binary: binary, Ports: m.ports, Files: s.files, Log: m.access, Admin: admin,
		Config: edited(t, fitting(t, binary, bootstrap(s.network)), append(s.edits, patient())),
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, m.access)
	}
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("Envoy wrote:\n%s\nSallyport wrote:\n%s%s", m.access.tail(), m.messages.tail(), m.decisions.tail())
		}
	})
}

// envoyBinary is the Envoy that hack/test found. Without one the test is skipped, and no CI passes.
func envoyBinary(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("ENVOY")
	switch {
	case binary != "":
	case os.Getenv("CI") == "true":
		t.Fatal("ENVOY is not set: hack/test sets it")
	default:
		fmt.Fprintf(os.Stderr, "\n*** %s is NOT run: ENVOY is not set; hack/test sets it\n", t.Name())
		t.Skip("ENVOY is not set; hack/test sets it")
	}
	return binary
}

// envoyVersion is that of a binary, such as 1.36.2.
func envoyVersion(t *testing.T, binary string) string {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), binary, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`/([0-9]+\.[0-9]+\.[0-9]+)/`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("no version in %q", text)
	}
	return string(found[1])
}

// fitting is a bootstrap as deploy/envoy/README.md says to change it for an Envoy before 1.37.
func fitting(t *testing.T, binary, text string) string {
	t.Helper()
	if !strings.HasPrefix(envoyVersion(t, binary), "1.36.") {
		return text
	}
	return strings.NewReplacer(
		`value: "%REQ(:SCHEME)%://%REQ(:AUTHORITY)%%PATH(NQ)%"`, `literal: {value: withheld}`,
		"upstream_connect_mode: ON_DOWNSTREAM_DATA", "",
		"max_early_data_bytes: 65536", "",
	).Replace(text)
}

func bootstrap(network bool) string {
	if network {
		return deploy.EnvoyNetwork
	}
	return deploy.Envoy
}

func edited(t *testing.T, text string, edits []edit) string {
	t.Helper()
	for _, e := range edits {
		if !strings.Contains(text, e.old) {
			t.Fatalf("there is no %q in what is to be edited", e.old)
		}
		text = strings.ReplaceAll(text, e.old, e.with)
	}
	return text
}

// A sallyport is the line that serve runs, in this process.
type sallyport struct {
	issuer    *tokentest.Issuer
	addr      net.Addr
	adminAddr net.Addr // nil where it is off
	decisions *output  // standard output
	messages  *output  // standard error
	stop      func()   // ends it as SIGTERM does, and waits
	line      *line
}

// startSallyport runs a configuration of testdata, with the issuer's address and edits in it.
func startSallyport(t *testing.T, file string, edits ...edit) *sallyport {
	t.Helper()
	issuer, err := tokentest.New(tokentest.Config{Algorithms: []string{"ES256"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { issuer.Close() })
	name := filepath.Join("testdata", file)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range append(edits, edit{"https://issuer.example.com", issuer.URL}) {
		text = bytes.ReplaceAll(text, []byte(e.old), []byte(e.with))
	}
	cfg, err := config.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	s := &sallyport{issuer: issuer, decisions: newOutput(), messages: newOutput()}
	s.run(t, cfg)
	return s
}

func (s *sallyport) run(t *testing.T, cfg *config.Config) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	logger := slog.New(slog.NewTextHandler(s.messages, nil))
	l, err := build(ctx, cfg, environment{stdout: s.decisions, logger: logger})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	s.line, s.addr, s.adminAddr = l, l.server.GRPCAddr(), l.server.AdminAddr()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := l.run(ctx); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	s.stop = func() { cancel(); <-done }
	t.Cleanup(s.stop)
}

// scrape reads the metrics as Prometheus does.
func (s *sallyport) scrape(t *testing.T) string { return s.page(t, "/metrics") }

// page is one of the admin listener.
func (s *sallyport) page(t *testing.T, path string) string {
	t.Helper()
	response, err := http.Get("http://" + s.adminAddr.String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("status %d, %v", response.StatusCode, err)
	}
	return string(text)
}

// token is a good one of alice for the audience orders, but for changes.
func (s *sallyport) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	token, err := s.issuer.Token("orders", changes)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// port is that of a TCP address, 0 of any other.
func port(addr net.Addr) int {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.Port
	}
	return 0
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := envoytest.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", envoytest.Loopback(0))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}
