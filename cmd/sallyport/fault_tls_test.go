package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	envoyID     = "spiffe://example.org/envoy"
	sallyportID = "spiffe://example.org/sallyport"
)

// mutual are the certificates with which Envoy and the instances know each other: Envoy's come from files
// that it watches (SDS), the instances' from theirs.
type mutual struct {
	dir     string
	version int
	trusted []*authority
}

func newMutual(t *testing.T) *mutual {
	return &mutual{dir: t.TempDir(), trusted: []*authority{newAuthority(t)}}
}

// newest is who signs.
func (m *mutual) newest() *authority { return m.trusted[len(m.trusted)-1] }

// settings turn mutual TLS on. Connections have an age, so that new ones are made all the time.
func (m *mutual) settings() []edit {
	return []edit{{"  drain: {delay: 500ms}\n", "  drain: {delay: 500ms}\n  tls: {certFile: tls.crt, keyFile: tls.key, clientCAFile: ca.crt, allowedClients: [" + envoyID + "]}\n"},
		{"limits: {", "limits: {connectionAge: 1s, "}}
}

// bootstrap has Envoy speak TLS to the cluster.
func (m *mutual) bootstrap() []edit {
	const cluster = "  - name: sallyport\n"
	source := func(name string) string {
		return fmt.Sprintf("{name: %s, sds_config: {path_config_source: {path: %s}}}", name, filepath.Join(m.dir, name+".json"))
	}
	return []edit{{"static_resources:\n", "node: {id: envoy, cluster: envoy}\nstatic_resources:\n"}, {cluster, cluster + `    transport_socket:
      name: tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context:
          alpn_protocols: [h2]
          tls_certificate_sds_secret_configs: [` + source("client") + `]
          validation_context_sds_secret_config: ` + source("authorities") + "\n"}}
}

// trust has everybody believe the authorities.
func (m *mutual) trust(t *testing.T, instances []*instance, authorities ...*authority) {
	t.Helper()
	m.trusted = authorities
	var text strings.Builder
	for _, a := range authorities {
		text.WriteString(a.pem())
	}
	for _, i := range instances {
		i.write(t, "ca.crt", text.String())
	}
	m.tell(t, "authorities", map[string]any{"validation_context": map[string]any{
		"trusted_ca":                    map[string]any{"inline_string": text.String()},
		"match_typed_subject_alt_names": []any{map[string]any{"san_type": "URI", "matcher": map[string]any{"exact": sallyportID}}},
	}})
}

// certify gives everybody a new certificate of the newest authority.
func (m *mutual) certify(t *testing.T, instances []*instance) {
	t.Helper()
	for _, i := range instances {
		certificate, key := m.newest().pair(t, sallyportID)
		i.write(t, "tls.crt", certificate)
		i.write(t, "tls.key", key)
	}
	certificate, key := m.newest().pair(t, envoyID)
	m.tell(t, "client", map[string]any{"tls_certificate": map[string]any{
		"certificate_chain": map[string]any{"inline_string": certificate}, "private_key": map[string]any{"inline_string": key},
	}})
}

// tell gives Envoy a secret.
func (m *mutual) tell(t *testing.T, name string, secret map[string]any) {
	t.Helper()
	m.version++
	secret["@type"], secret["name"] = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", name
	text, err := json.Marshal(map[string]any{"version_info": strconv.Itoa(m.version), "resources": []any{secret}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(m.dir, name+".json")
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// rotate is one step of a rotation: trust a new authority beside the old one, take certificates of it,
// forget the old one.
func (m *mutual) rotate(t *testing.T, instances []*instance, step int) {
	t.Helper()
	switch step % 3 {
	case 0:
		m.trust(t, instances, m.newest(), newAuthority(t))
	case 1:
		m.certify(t, instances)
	case 2:
		m.trust(t, instances, m.newest())
	}
}

// Certificates of Envoy and of Sallyport are replaced, and so are the authorities on both sides, while
// connections are made anew all the time. A certificate that does not fit to its key changes nothing. No
// request fails.
func TestEnvoyFaultCertificates(t *testing.T) {
	t.Parallel()
	m := newMutual(t)
	s := startSite(t, plan{settings: m.settings(), edits: m.bootstrap(), prepare: func(s *site) {
		m.trust(t, s.instances, m.newest())
		m.certify(t, s.instances)
	}})
	for step, what := range []string{"a new authority beside the old one", "new certificates", "the old authority is forgotten"} {
		s.during(t, what, nil, func() {
			m.rotate(t, s.instances, step)
			s.connections(t, 2)
		})
	}
	i := s.instances[0]
	s.during(t, "a certificate that does not fit to its key", nil, func() {
		certificate, _ := m.newest().pair(t, sallyportID)
		i.write(t, "tls.crt", certificate)
		s.connections(t, 2)
	})
	if !strings.Contains(i.messages.String(), "listen.tls") {
		t.Error("no message says that the certificate does not fit")
	}
	t.Logf("%s connections", s.stat(t, "cluster.sallyport.upstream_cx_total"))
}

// connections waits until Envoy has made some more.
func (s *site) connections(t *testing.T, more int) {
	t.Helper()
	made := func() int {
		n, err := strconv.Atoi(s.stat(t, "cluster.sallyport.upstream_cx_total"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	end := made() + more
	until(t, "Envoy connects anew", func() bool { return made() >= end })
}
