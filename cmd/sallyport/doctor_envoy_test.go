package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/deploy"
	"github.com/sallyport/sallyport/pkg/envoy/doctor"
	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

// A ward is one Envoy in which each fault stands on a listener of its own, with a cluster of its own.
type ward struct {
	text  string // of its bootstrap
	file  string
	dump  string // a file
	ports map[string]int
}

// TestDoctorOfEnvoy plants every fault in deploy/envoy/envoy.yaml, one at a time, and looks for it in the
// file and in the dump of a real Envoy that runs it: the finding, the route, the line. Then it sends a
// request without a token, and sees whether it passes.
func TestDoctorOfEnvoy(t *testing.T) {
	binary := envoyBinary(t)
	files := newAuthority(t).files(t)
	for name, text := range discovered() {
		files[name] = filepath.Join(t.TempDir(), "discovered.yaml")
		if err := os.WriteFile(files[name], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	faults := knownTo(t, binary, append(plantedFaults(), fault{name: "sound"}))
	w := admit(t, ward{text: bootstrapWith(t, deploy.Envoy, "ingress", faults)}, envoytest.Options{
		Binary: binary, Admin: 9901, Files: files,
		Ports: map[int]int{8080: port(startUpstream(t).addr), 9191: port(startSallyport(t, "routes.yaml").addr), 9999: freePort(t)},
	})
	for i := range faults {
		if faults[i].route == "" {
			faults[i].route = "default > prefix /"
		}
	}
	w.examine(t, faults, w.visit)
}

// TestDoctorOfEnvoyNetwork does so with deploy/envoy/network.yaml, and connects as a workload that is not
// let in.
func TestDoctorOfEnvoyNetwork(t *testing.T) {
	binary := envoyBinary(t)
	ca := newAuthority(t)
	faults := knownTo(t, binary, append(networkFaults(), fault{name: "sound"}))
	if strings.HasPrefix(envoyVersion(t, binary), "1.36.") {
		t.Skip("it has no upstream_connect_mode, which a sound file has")
	}
	w := admit(t, ward{text: bootstrapWith(t, deploy.EnvoyNetwork, "ingress_tcp", faults)}, envoytest.Options{
		Binary: binary, Admin: 9902, Files: ca.files(t),
		Ports: map[int]int{8080: port(greeter(t)), 9191: port(startSallyport(t, "network.yaml").addr), 9999: freePort(t)},
	})
	intern := &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ca.sign(t, "spiffe://example.org/ns/shop/sa/intern")}}
	w.examine(t, faults, func(t *testing.T, f fault) {
		if f.plain {
			return
		}
		m := mesh{url: "http://" + envoytest.Loopback(w.ports[f.name])}
		if got, err := m.greet(t, intern); (err == nil) != f.passes {
			t.Errorf("a workload that is not let in gets %q, error %v", got, err)
		}
	})
}

func knownTo(t *testing.T, binary string, faults []fault) []fault {
	t.Helper()
	version := envoyVersion(t, binary)
	return slices.DeleteFunc(faults, func(f fault) bool { return f.since != "" && olderThan(version, f.since) })
}

// examine looks for each fault where it is, and then tries it.
func (w *ward) examine(t *testing.T, faults []fault, visit func(*testing.T, fault)) {
	t.Helper()
	inFile, inDump := examinedBy(sourcesOf(t, w.file)), examinedBy(sourcesOf(t, w.dump))
	dump, err := os.ReadFile(w.dump)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			for _, one := range f.wanted(t, "file", f.code, inFile(f)) {
				if line := w.line(t, f); one.Place.Line != line {
					t.Errorf("line %d: %s, want line %d", one.Place.Line, lineOf(w.text, one.Place.Line), line)
				}
			}
			code := f.code
			if code == "not-seen" {
				code = f.inDump
			}
			for _, one := range f.wanted(t, "dump", code, inDump(f)) {
				if key := lastKey(one.Place.Path); !strings.Contains(lineOf(string(dump), one.Place.Line), key) {
					t.Errorf("line %d of the dump is %s, want %s", one.Place.Line, lineOf(string(dump), one.Place.Line), key)
				}
			}
			visit(t, f)
		})
	}
}

// wanted sees whether the fault gives its finding alone, with its route.
func (f fault) wanted(t *testing.T, where, code string, found []doctor.Finding) []doctor.Finding {
	t.Helper()
	var want []string
	if code != "" {
		want = []string{code}
	}
	if diff := cmp.Diff(want, codesOf(found)); diff != "" {
		t.Errorf("in the %s:\n%s%+v", where, diff, found)
		return nil
	}
	route := strings.TrimSuffix(f.name+" > "+f.route, " > ")
	for _, one := range found {
		if got := one.Routes[0].String(); len(one.Routes) != 1 || got != route && code != "not-seen" {
			t.Errorf("in the %s: %d routes, the first is %s, want %s", where, len(one.Routes), got, route)
		}
	}
	return found
}

// examinedBy gives the findings on a fault's listener, but for the one that the sound file has. Faults
// with the same needs share a report.
func examinedBy(sources []doctor.Source) func(fault) []doctor.Finding {
	reports := map[string]doctor.Report{}
	return func(f fault) []doctor.Finding {
		needs := fmt.Sprint(f.needs)
		if _, ok := reports[needs]; !ok {
			reports[needs] = doctor.Examine(sources, doctor.Options{Needs: f.needs, Ignore: []doctor.Ignore{{Code: "underscores-allowed"}}})
		}
		var here []doctor.Finding
		for _, one := range reports[needs].Findings {
			if slices.ContainsFunc(one.Routes, func(r doctor.Route) bool { return r.Listener == f.name }) {
				here = append(here, one)
			}
		}
		return here
	}
}

func codesOf(found []doctor.Finding) []string {
	var codes []string
	for _, f := range found {
		codes = append(codes, f.Code)
	}
	return codes
}

func sourcesOf(t *testing.T, name string) []doctor.Source {
	t.Helper()
	sources, err := doctor.Read(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// admit starts the Envoy, and keeps its dump.
func admit(t *testing.T, w ward, o envoytest.Options) *ward {
	t.Helper()
	w.text = fitting(t, o.Binary, w.text)
	w.file, w.dump, w.ports = filepath.Join(t.TempDir(), "envoy.yaml"), filepath.Join(t.TempDir(), "dump.json"), map[string]int{}
	if err := os.WriteFile(w.file, []byte(w.text), 0o600); err != nil {
		t.Fatal(err)
	}
	admin, log := freePort(t), newOutput()
	o.Config, o.Log, o.Ports[o.Admin] = w.text, log, admin
	process, err := envoytest.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
	url := "http://" + envoytest.Loopback(admin)
	if err := os.WriteFile(w.dump, []byte(got(t, url+"/config_dump?include_eds")), 0o600); err != nil {
		t.Fatal(err)
	}
	var listeners struct {
		Statuses []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Port int `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal([]byte(got(t, url+"/listeners?format=json")), &listeners); err != nil {
		t.Fatal(err)
	}
	for _, l := range listeners.Statuses {
		w.ports[l.Name] = l.Local.Socket.Port
	}
	// The admin listener itself gives the same findings as its saved dump.
	saved, live := doctor.Examine(sourcesOf(t, w.dump), doctor.Options{}), doctor.Examine(sourcesOf(t, url), doctor.Options{})
	if saved.Routes != live.Routes || !slices.Equal(codesOf(saved.Findings), codesOf(live.Findings)) {
		t.Errorf("%d findings in the saved dump, %d in the fetched one", len(saved.Findings), len(live.Findings))
	}
	return &w
}

// bootstrapWith is a bootstrap of deploy/envoy with its listener and its cluster once for each fault.
func bootstrapWith(t *testing.T, sound, name string, faults []fault) string {
	t.Helper()
	head, rest, _ := strings.Cut(sound, "  - name: "+name+"\n")
	listener, rest, _ := strings.Cut(rest, "\n  clusters:\n")
	others, rest, _ := strings.Cut(rest, "  - name: sallyport\n")
	const last = "  - name: collector"
	cluster, collector, _ := strings.Cut(rest, last)
	var listeners, clusters strings.Builder
	for _, f := range faults {
		const between = "\n### its cluster\n"
		text := edited(t, "  - name: "+name+"\n"+listener+between+"  - name: sallyport\n"+cluster, f.edits)
		text = strings.NewReplacer(
			"  - name: "+name+"\n", "  - name: "+f.name+"\n", "port_value: 10000}", "port_value: 0}", "port_value: 10001}", "port_value: 0}",
			"- name: sallyport\n", "- name: sallyport-"+f.name+"\n",
			"cluster_name: sallyport\n", "cluster_name: sallyport-"+f.name+"\n",
			"cluster_name: sallyport}", "cluster_name: sallyport-"+f.name+"}",
		).Replace(text)
		l, c, _ := strings.Cut(text, between)
		listeners.WriteString(l + "\n")
		clusters.WriteString(c)
	}
	if collector != "" {
		collector = last + collector
	}
	return "node: {id: ward, cluster: wards}\n" + head + listeners.String() + "\n  clusters:\n" + others + clusters.String() + collector
}

// line is where the fault's marker stands, in its listener or else in its cluster.
func (w *ward) line(t *testing.T, f fault) int {
	t.Helper()
	for _, name := range []string{f.name, "sallyport-" + f.name} {
		begin := strings.Index(w.text, "  - name: "+name+"\n")
		end := begin + 1
		if next := strings.Index(w.text[end:], "\n  - name: "); next >= 0 {
			end += next
		} else {
			end = len(w.text)
		}
		if at := strings.Index(w.text[begin:end], f.marker); at >= 0 {
			return 1 + strings.Count(w.text[:begin+at], "\n")
		}
	}
	t.Fatalf("there is no %q", f.marker)
	return 0
}

func lineOf(text string, n int) string {
	lines := strings.Split(text, "\n")
	if n < 1 || n > len(lines) {
		return "beyond the end"
	}
	return strings.TrimSpace(lines[n-1])
}

// lastKey is the last name in a path such as a.b["c.d"][0].
func lastKey(path string) string {
	for strings.HasSuffix(path, "]") {
		at := strings.LastIndexByte(path, '[')
		if key, err := strconv.Unquote(path[at+1 : len(path)-1]); err == nil {
			return key
		}
		path = path[:at]
		if !strings.HasSuffix(path, "]") {
			return "" // the line of an item says nothing
		}
	}
	return path[strings.LastIndexByte(path, '.')+1:]
}

// visit sends a request without a token: it passes where the check does not happen or does not bind, if
// the fault says so, and is refused everywhere else.
func (w *ward) visit(t *testing.T, f fault) {
	t.Helper()
	if f.tls {
		return
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+envoytest.Loopback(w.ports[f.name])+"/orders/7", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range f.header {
		request.Header.Set(name, value)
	}
	response, err := http1().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if passes := response.StatusCode == http.StatusOK; passes != f.passes {
		t.Errorf("a request without a token is answered %s", response.Status)
	}
}

func olderThan(version, than string) bool {
	major := func(v string) int {
		parts := strings.Split(v, ".")
		n, _ := strconv.Atoi(parts[1])
		return n
	}
	return major(version) < major(than)
}

// got is what an address answers.
func got(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s, %v", url, response.Status, err)
	}
	return string(body)
}
