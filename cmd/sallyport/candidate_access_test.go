package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// To look is no right to promote: nobody has it who is not named, not even on the same machine.
func TestPromotionIsNotForWatchers(t *testing.T) {
	s := startTrial(t, "{files: [candidate.rego], promote: {decisions: 1}}", map[string]string{"candidate.rego": allows("open", "new")})
	s.awaitState(t, candidateComparing)
	s.allowed(t, "/open/7")
	s.compared(t, 1)
	s.command(t, 0, "status")
	for _, args := range [][]string{{"promote"}, {"drop"}} {
		if text := s.command(t, exitFailed, args...); !strings.Contains(text, "may look, and not promote or drop: policy.candidate.promote.local") {
			t.Errorf("%v is refused with %s", args, text)
		}
	}
	if s.allowed(t, "/new/7") || s.status(t).GetState() != candidateComparing {
		t.Error("it was promoted, or dropped, all the same")
	}
}

// A client certificate of a name in promote.clients may promote over mutual TLS, another may look.
func TestPromoteWithCertificate(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	pemFile := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	pair := func(name string, of tls.Certificate) (cert, key string) {
		der, err := x509.MarshalPKCS8PrivateKey(of.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		return pemFile(name+".crt", "CERTIFICATE", of.Certificate[0]), pemFile(name+".key", "PRIVATE KEY", der)
	}
	pemFile("ca.crt", "CERTIFICATE", ca.certificate.Raw)
	pair("server", ca.sign(t, "spiffe://example.org/sallyport"))
	for name, text := range map[string]string{"live.rego": allows("open"), "candidate.rego": allows("open"), "sallyport.yaml": `
listen: {grpc: "127.0.0.1:0", admin: "127.0.0.1:0", drain: {delay: 0s}, adminTLS: {certFile: server.crt, keyFile: server.key, clientCAFile: ca.crt}}
policy: {files: [live.rego], candidate: {files: [candidate.rego], promote: {decisions: 1, clients: ["spiffe://example.org/release"]}}}
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Load(filepath.Join(dir, "sallyport.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s := &trialled{sallyport: &sallyport{decisions: newOutput(), messages: newOutput()}}
	s.run(t, cfg)
	s.conn = dialPlain(t, s.addr.String())
	command := func(want int, who string, args ...string) string {
		t.Helper()
		cert, key := pair("client", ca.sign(t, "spiffe://example.org/"+who))
		return s.command(t, want, append(args, "--admin-ca", filepath.Join(dir, "ca.crt"), "--admin-cert", cert, "--admin-key", key)...)
	}
	until(t, "a check is compared", func() bool {
		s.allowed(t, "/open/7")
		return strings.Contains(s.statusText(t, dir), "It may be promoted.")
	})
	if text := command(exitFailed, "watcher", "promote"); !strings.Contains(text, "spiffe://example.org/watcher may look, and not promote") {
		t.Errorf("refused with %s", text)
	}
	if text := command(0, "release", "promote"); !strings.Contains(text, "promoted: ") {
		t.Errorf("promoted, with %s", text)
	}
	if text := s.messages.String(); !strings.Contains(text, "by=spiffe://example.org/release") {
		t.Errorf("the operator does not read who did it:\n%s", text)
	}
}

// statusText asks with the certificates of the last client in a directory, or none.
func (s *trialled) statusText(t *testing.T, dir string) string {
	t.Helper()
	out := newOutput()
	args := []string{"candidate", "status", "--admin", s.adminAddr.String(), "--admin-ca", filepath.Join(dir, "ca.crt")}
	for flag, name := range map[string]string{"--admin-cert": "server.crt", "--admin-key": "server.key"} {
		args = append(args, flag, filepath.Join(dir, name))
	}
	run(args, out, out)
	return out.String()
}

// What the flags of TLS lack is said before anything is dialled.
func TestAdminFlags(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for want, args := range map[string][]string{
		"need --admin-ca":           {"--admin-cert", "a", "--admin-key", "b"},
		"go together":               {"--admin-ca", "a", "--admin-key", "b"},
		"--admin-ca: open":          {"--admin-ca", missing},
		"no certificate in PEM":     {"--admin-ca", "candidate_access_test.go"},
		"--admin: must be host:por": {"--admin", "unix:a:b\x00"},
	} {
		out := newOutput()
		if code := run(append([]string{"candidate", "status"}, args...), out, out); code == 0 || !strings.Contains(out.String(), want) {
			t.Errorf("%v ended with %d, want %q: %s", args, code, want, out)
		}
	}
}

// What a promotion leaves to do names what the candidate says, and what it leaves out.
func TestCandidateToDo(t *testing.T) {
	for text, want := range map[string]string{
		"{candidate: {data: {a: 1}}}":                   "move data from policy.candidate to policy, and take away policy.candidate",
		"{candidate: {path: a/b, allowNet: [a]}}":       "move path from policy.candidate to policy, make policy.candidate.allowNet policy.capabilities.allowNet, and",
		"{opa: {bundles: {}}, candidate: {files: [x]}}": "and take away policy.opa.bundles and policy.candidate",
		"{files: [.], candidate: {opa: {bundles: {}}}}": "move opa from policy.candidate to policy, and take away policy.files and policy.candidate",
	} {
		cfg, err := config.Parse("sallyport.yaml", []byte(fmt.Sprint("policy: ", text)))
		if err != nil {
			t.Fatal(err)
		}
		if got := candidateToDo(cfg); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// A candidate that says a part only is the policy that decides in all else, but reports nothing, keeps
// nothing and has no network.
func TestCandidateConfig(t *testing.T) {
	cfg, err := config.Parse("sallyport.yaml", []byte(`
policy:
  path: a/b
  data: {x: 1}
  outputHeaders: [x-a]
  capabilities: {allowNet: [live.example.com], builtins: [http.send, count]}
  opa:
    services: {s: {url: "https://a"}}
    bundles: {b: {service: s, persist: true}}
    persistence_directory: /var/opa
    decision_logs: {service: s}
    status: {service: s}
  candidate: {data: {x: 2}}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := candidateConfig(cfg, nil)
	if text := fmt.Sprint(got.OPA); text != "map[bundles:map[b:map[service:s]] services:map[s:map[url:https://a]]]" {
		t.Errorf("OPA's configuration is %s", text)
	}
	if text := fmt.Sprintf("%s %v %v %v", got.Entrypoint, got.Data, got.OutputHeaders, got.Capabilities); text != "a/b map[x:2] [x-a] {[] [count]}" {
		t.Errorf("the rest is %s", text)
	}
	if bundle := fmt.Sprint(cfg.Policy.OPA["bundles"]); !strings.Contains(bundle, "persist:true") {
		t.Errorf("the policy that decides lost its setting: %s", bundle)
	}
}
