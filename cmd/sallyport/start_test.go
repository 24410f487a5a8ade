package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// startPage is the YAML of deploy/envoy/start.md, in the order of the page.
type startPage struct{ tcp, unix, pipe, tls, transportSocket, node, network string }

func readStartPage(t *testing.T) startPage {
	t.Helper()
	page := readText(t, "..", "..", "deploy", "envoy", "start.md")
	var blocks []string
	for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(page, -1) {
		blocks = append(blocks, block[1])
	}
	if len(blocks) != 7 {
		t.Fatalf("the page has %d blocks of YAML, not the 7 that are tested", len(blocks))
	}
	return startPage{blocks[0], blocks[1], blocks[2], blocks[3], blocks[4], blocks[5], blocks[6]}
}

// whole puts a page's configuration in the place of all of a file in testdata.
func whole(t *testing.T, file, text string) edit {
	t.Helper()
	return edit{readText(t, "testdata", file), "listen: {grpc: \"127.0.0.1:0\", admin: \"\", drain: {delay: 0s}}\n" + text}
}

// denyAndAllow is where the page's parts end.
func (m *mesh) denyAndAllow(t *testing.T, status int) {
	t.Helper()
	exchange{path: "/private", wantStatus: status}.run(t, m, http1())
	exchange{path: "/public/hello.txt", wantStatus: 200}.run(t, m, http1())
	entry := await(t, m.decisions, func(d decisionEntry) bool { return d.Path == "/private" })
	await(t, m.access, func(a accessEntry) bool { return a.DecisionID == entry.ID })
}

func TestEnvoyStartTCP(t *testing.T) {
	page := readStartPage(t)
	m := startMesh(t, setup{config: "routes.yaml", settings: []edit{whole(t, "routes.yaml", page.tcp)}})
	m.denyAndAllow(t, 403)
}

func TestEnvoyStartNetwork(t *testing.T) {
	page, ca := readStartPage(t), newAuthority(t)
	m := startMesh(t, setup{
		config: "network.yaml", settings: []edit{whole(t, "network.yaml", page.network)},
		network: true, files: ca.files(t), upstream: greeter(t),
	})
	for name, want := range map[string]string{"frontend": "hello\n", "intern": ""} {
		leaf := ca.sign(t, "spiffe://example.org/ns/shop/sa/"+name)
		got, err := m.greet(t, &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{leaf}})
		if got != want || (want == "") != (err != nil && strings.Contains(err.Error(), "access denied")) {
			t.Errorf("%s got %q, error %v, want %q", name, got, err, want)
		}
	}
}

// The group is the test's own, and the directory one that it may write to.
func TestEnvoyStartUnixSocket(t *testing.T) {
	page, dir := readStartPage(t), t.TempDir()
	listen := strings.NewReplacer("group: envoy", "group: "+strconv.Quote(strconv.Itoa(os.Getgid())), "/run/sallyport", dir).Replace(page.unix)
	m := startMesh(t, setup{
		config: "routes.yaml", settings: []edit{{"listen:\n  grpc: 127.0.0.1:0\n", listen}},
		edits: []edit{{"address: {socket_address: {address: 127.0.0.1, port_value: 9191}}", strings.TrimSpace(page.pipe)}},
		files: map[string]string{"/run/sallyport": dir},
	})
	m.denyAndAllow(t, 401)
}

// A secret is a directory as Kubernetes mounts one: all files in it change at one stroke.
type secret struct {
	dir     string
	version int
}

func (s *secret) mount(t *testing.T, files map[string]string) {
	t.Helper()
	s.version++
	version := strconv.Itoa(s.version)
	if err := os.Mkdir(filepath.Join(s.dir, version), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		writeText(t, filepath.Join(s.dir, version, name), text)
		_ = os.Symlink(filepath.Join("..data", name), filepath.Join(s.dir, name)) // it is there, but for the first time
	}
	next := filepath.Join(s.dir, "..next")
	if err := os.Symlink(version, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(s.dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

// A mutualMesh speaks TLS between Envoy and Sallyport, by the files of the page.
type mutualMesh struct {
	*mesh
	envoy, server secret
}

func startMutual(t *testing.T, envoy, server map[string]string) *mutualMesh {
	t.Helper()
	page := readStartPage(t)
	m := &mutualMesh{envoy: secret{dir: t.TempDir()}, server: secret{dir: t.TempDir()}}
	m.envoy.mount(t, envoy)
	m.server.mount(t, server)
	sds := t.TempDir()
	for _, name := range []string{"client.yaml", "server-ca.yaml"} {
		text := readText(t, "..", "..", "deploy", "envoy", "sds", name)
		writeText(t, filepath.Join(sds, name), strings.ReplaceAll(text, "/etc/envoy/tls", m.envoy.dir))
	}
	listen := strings.NewReplacer("0.0.0.0:9191", "127.0.0.1:0", "/etc/sallyport/tls", m.server.dir).Replace(page.tls)
	const cluster = "  - name: sallyport\n"
	m.mesh = startMesh(t, setup{
		config: "routes.yaml",
		settings: []edit{
			{"listen:\n  grpc: 127.0.0.1:0\n", listen},
			{"policy:\n", "limits: {connectionAge: 200ms}\npolicy:\n"}, // new handshakes all the time
		},
		edits: []edit{
			{"connect_timeout: 0.25s", "connect_timeout: 15s"}, // patience, for handshakes too
			{"static_resources:\n", page.node + "static_resources:\n"},
			{cluster, cluster + regexp.MustCompile(`(?m)^`).ReplaceAllString(strings.TrimSpace(page.transportSocket), "    ") + "\n"},
		},
		files: map[string]string{"/etc/envoy/sds": sds},
	})
	return m
}

// presents tells whether Sallyport has this certificate, as a new client sees it.
func (m *mutualMesh) presents(t *testing.T, certificate string) bool {
	t.Helper()
	conn, err := tls.Dial("tcp", m.addr.String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	block, _ := pem.Decode([]byte(certificate))
	return bytes.Equal(conn.ConnectionState().PeerCertificates[0].Raw, block.Bytes)
}

func TestEnvoyStartMutualTLS(t *testing.T) {
	ca := newAuthority(t)
	m := startMutual(t, ca.secret(t, "spiffe://example.org/envoy"), ca.secret(t, "spiffe://example.org/sallyport"))
	m.denyAndAllow(t, 401)
}

// Who is not named may not ask, and is not asked; nobody decides, so nobody enters.
func TestEnvoyStartMutualTLSOfAnother(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	envoy, server := ca.secret(t, "spiffe://example.org/envoy"), ca.secret(t, "spiffe://example.org/sallyport")
	foreign := maps.Clone(envoy)
	maps.Copy(foreign, map[string]string{"tls.crt": "", "tls.key": ""})
	for name, text := range other.secret(t, "spiffe://example.org/envoy") {
		if name != "ca.crt" {
			foreign[name] = text
		}
	}
	for _, tc := range []struct {
		name          string
		envoy, server map[string]string
		wantTold      string // in Sallyport's log
		wantStat      string // of Envoy, more than 0
	}{
		{"an Envoy of another name", ca.secret(t, "spiffe://example.org/intern"), server, "spiffe://example.org/intern", ""},
		{"an Envoy of another authority", foreign, server, "unknown authority", ""},
		{"a Sallyport of another name", envoy, ca.secret(t, "spiffe://example.org/imposter"), "", "cluster.sallyport.ssl.fail_verify_san"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := startMutual(t, tc.envoy, tc.server)
			exchange{path: "/public/hello.txt", wantStatus: 503}.run(t, m.mesh, http1())
			until(t, "the log says who was refused", func() bool { return strings.Contains(m.messages.String(), tc.wantTold) })
			if tc.wantStat != "" && m.stat(t, tc.wantStat) == "0" {
				t.Errorf("Envoy did not count %s", tc.wantStat)
			}
		})
	}
}

// An authority is replaced in the page's three steps, without a request that fails.
func TestEnvoyStartMutualTLSRotation(t *testing.T) {
	before, after := newAuthority(t), newAuthority(t)
	pairs := func(ca *authority, trusted ...*authority) (envoy, server map[string]string) {
		envoy, server = ca.secret(t, "spiffe://example.org/envoy"), ca.secret(t, "spiffe://example.org/sallyport")
		var roots string
		for _, a := range trusted {
			roots += a.pem()
		}
		envoy["ca.crt"], server["ca.crt"] = roots, roots
		return envoy, server
	}
	envoy, server := pairs(before, before)
	m := startMutual(t, envoy, server)
	var requests atomic.Int64
	stop := m.load(t, &requests)
	passed(t, &requests, 20)
	for step, trusted := range [][]*authority{{before, after}, {before, after}, {after}} {
		signer := after
		if step == 0 {
			signer = before
		}
		updates := m.stat(t, "cluster.sallyport.client_ssl_socket_factory.ssl_context_update_by_sds")
		envoy, server := pairs(signer, trusted...)
		m.envoy.mount(t, envoy)
		m.server.mount(t, server)
		until(t, "both sides have the files of step "+strconv.Itoa(step+1), func() bool {
			return m.presents(t, server["tls.crt"]) &&
				m.stat(t, "cluster.sallyport.client_ssl_socket_factory.ssl_context_update_by_sds") != updates
		})
		passed(t, &requests, 20)
	}
	stop()
	// The old authority's certificate is worth nothing now.
	envoy, _ = pairs(before, after)
	m.envoy.mount(t, envoy)
	until(t, "the old certificate is refused", func() bool {
		return exchange{path: "/public/hello.txt"}.send(t, http1(), m.url).status == 503
	})
}
