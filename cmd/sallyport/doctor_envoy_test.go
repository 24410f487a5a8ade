package main

import (
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
	faults := slices.DeleteFunc(append(plantedFaults(), fault{name: "sound"}), func(f fault) bool {
		return f.since != "" && olderThan(envoyVersion(t, binary), f.since)
	})
	w := admit(t, binary, faults)
	inFile, inDump := examinedBy(sourcesOf(t, w.file)), examinedBy(sourcesOf(t, w.dump))
	dump, err := os.ReadFile(w.dump)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			var want []string
			if f.code != "" {
				want = []string{f.code}
			}
			if f.route == "" {
				f.route = "default > prefix /"
			}
			for where, examined := range map[string]func(fault) []doctor.Finding{"file": inFile, "dump": inDump} {
				found := examined(f)
				if diff := cmp.Diff(want, codesOf(found)); diff != "" {
					t.Errorf("in the %s:\n%s%+v", where, diff, found)
					continue
				}
				for _, one := range found {
					if diff := cmp.Diff(f.name+" > "+f.route, one.Routes[0].String()); diff != "" || len(one.Routes) != max(1, f.routes) {
						t.Errorf("in the %s, %d routes: %s", where, len(one.Routes), diff)
					}
					if where == "file" {
						if line := w.line(t, f); one.Place.Line != line {
							t.Errorf("line %d: %s, want line %d", one.Place.Line, lineOf(w.text, one.Place.Line), line)
						}
					} else if key := lastKey(one.Place.Path); !strings.Contains(lineOf(string(dump), one.Place.Line), key) {
						t.Errorf("line %d of the dump is %s, want %s", one.Place.Line, lineOf(string(dump), one.Place.Line), key)
					}
				}
			}
			w.visit(t, f)
		})
	}
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
func admit(t *testing.T, binary string, faults []fault) *ward {
	t.Helper()
	admin := freePort(t)
	options := envoytest.Options{
		Binary: binary, Admin: 9901, Log: newOutput(), Files: newAuthority(t).files(t),
		Config: fitting(t, binary, bootstrapWith(t, faults)),
		Ports: map[int]int{9901: admin, 8080: port(startUpstream(t).addr), 9191: port(startSallyport(t, "routes.yaml").addr),
			9999: freePort(t)},
	}
	w := &ward{text: options.Config, file: filepath.Join(t.TempDir(), "envoy.yaml"), dump: filepath.Join(t.TempDir(), "dump.json"), ports: map[string]int{}}
	if err := os.WriteFile(w.file, []byte(w.text), 0o600); err != nil {
		t.Fatal(err)
	}
	process, err := envoytest.Start(t.Context(), options)
	if err != nil {
		t.Fatalf("%v\n%s", err, options.Log)
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
	if saved, live := doctor.Examine(sourcesOf(t, w.dump), doctor.Options{}), doctor.Examine(sourcesOf(t, url), doctor.Options{}); saved.Routes != live.Routes || !slices.Equal(codesOf(saved.Findings), codesOf(live.Findings)) {
		t.Errorf("%d findings in the saved dump, %d in the fetched one", len(saved.Findings), len(live.Findings))
	}
	return w
}

// bootstrapWith is deploy/envoy/envoy.yaml with its listener and its cluster once for each fault.
func bootstrapWith(t *testing.T, faults []fault) string {
	t.Helper()
	head, rest, _ := strings.Cut(deploy.Envoy, "  - name: ingress\n")
	listener, rest, _ := strings.Cut(rest, "\n  clusters:\n")
	others, rest, _ := strings.Cut(rest, "  - name: sallyport\n")
	cluster, collector, _ := strings.Cut(rest, "  - name: collector")
	var listeners, clusters strings.Builder
	for _, f := range faults {
		const between = "\n### its cluster\n"
		text := edited(t, "  - name: ingress\n"+listener+between+"  - name: sallyport\n"+cluster, f.edits)
		text = strings.NewReplacer(
			"- name: ingress", "- name: "+f.name, "port_value: 10000}", "port_value: 0}",
			"- name: sallyport\n", "- name: sallyport-"+f.name+"\n",
			"cluster_name: sallyport\n", "cluster_name: sallyport-"+f.name+"\n",
			"cluster_name: sallyport}", "cluster_name: sallyport-"+f.name+"}",
		).Replace(text)
		l, c, _ := strings.Cut(text, between)
		listeners.WriteString(l + "\n")
		clusters.WriteString(c)
	}
	return head + listeners.String() + "\n  clusters:\n" + others + clusters.String() + "  - name: collector" + collector
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
