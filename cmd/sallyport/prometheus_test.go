package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

// deployed are the files that operators copy.
const deployed = "../../deploy"

// A prometheus is a real one that scrapes a Sallyport, with the rules of deploy/prometheus.
type prometheus struct{ url string }

// monitored is a Sallyport that has answered checks of every kind, and answers them again with play.
func monitored(t *testing.T) (s *sallyport, play func()) {
	t.Helper()
	s = startSallyport(t, "routes.yaml", edit{`admin: ""`, "admin: 127.0.0.1:0"}, edit{"policy:\n", "policy:\n  candidate: {data: {}}\n"})
	conn, err := grpc.NewClient(s.addr.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	upstream := startUpstream(t)
	client := &http.Client{Transport: &envoytest.Client{Sallyport: conn, Upstream: upstream.addr.String()}}
	good := s.token(t, map[string]any{"roles": []string{"clerk"}})
	play = func() {
		for _, e := range []exchange{
			{path: "/public/page", wantStatus: 200},
			{path: "/orders/7", wantStatus: 401},
			{path: "/orders/7", header: http.Header{"Authorization": {"Bearer " + good}}, wantStatus: 200},
			{path: "/orders/7", header: http.Header{"Authorization": {"Bearer " + good}}, wantStatus: 200},
			{path: "/orders/7", header: http.Header{"Authorization": {"Bearer " + good + "A"}}, wantStatus: 401},
			{path: "/orders/%2f", wantStatus: 400},
		} {
			if got := e.send(t, client, "http://"+upstream.addr.String()); got.status != e.wantStatus {
				t.Errorf("%s: status %d, want %d", e.path, got.status, e.wantStatus)
			}
		}
	}
	play()
	return s, play
}

// tool is a program that hack/test looks for. Without it the test is skipped, and no CI passes.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("there is no %s: .ci/run installs it", name)
	}
	fmt.Fprintf(os.Stderr, "\n*** %s is NOT run: there is no %s\n", t.Name(), name)
	t.Skipf("there is no %s", name)
	return ""
}

// promtool runs the tool in a directory.
func promtool(t *testing.T, dir, input string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), tool(t, "promtool"), args...)
	command.Dir, command.Stdin = dir, strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

func TestPromtool(t *testing.T) {
	tool(t, "promtool")
	s, _ := monitored(t)
	promtool(t, "", s.scrape(t), "check", "metrics")
	dir := filepath.Join(deployed, "prometheus")
	promtool(t, dir, "", "check", "config", "prometheus.yaml")
	promtool(t, dir, "", "check", "rules", "alerts.yaml")
	promtool(t, dir, "", "test", "rules", "alerts_test.yaml")
}

// startPrometheus starts one with the files of deploy/prometheus, at a shorter interval.
func startPrometheus(t *testing.T, s *sallyport, flags ...string) *prometheus {
	t.Helper()
	binary := tool(t, "prometheus")
	dir := t.TempDir()
	for _, name := range []string{"prometheus.yaml", "alerts.yaml"} {
		text, err := os.ReadFile(filepath.Join(deployed, "prometheus", name))
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.NewReplacer("127.0.0.1:9192", s.adminAddr.String(), "15s", "200ms").Replace(string(text))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := envoytest.Loopback(freePort(t))
	p := &prometheus{url: "http://" + address}
	startProcess(t, binary, append(flags, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address, "--log.level=warn")...)
	until(t, "Prometheus is ready", func() bool { return p.get(t, "/-/ready", nil) })
	return p
}

// get reads a page into a value, and tells whether it is there.
func (p *prometheus) get(t *testing.T, path string, into any) bool {
	t.Helper()
	response, err := http.Get(p.url + path)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	if into != nil && json.NewDecoder(response.Body).Decode(into) != nil {
		return false
	}
	return response.StatusCode == http.StatusOK
}

// A vector is the answer to a query.
type vector []struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
}

// query waits until a query has an answer with a value that is a number.
func (p *prometheus) query(t *testing.T, query string) (answer vector) {
	t.Helper()
	until(t, "an answer to "+query, func() bool {
		var page struct {
			Error string `json:"error"`
			Data  struct {
				Result vector `json:"result"`
			} `json:"data"`
		}
		if !p.get(t, "/api/v1/query?query="+url.QueryEscape(query), &page) && page.Error != "" {
			t.Fatalf("%s: %s", query, page.Error)
		}
		answer = page.Data.Result
		return len(answer) > 0
	})
	return answer
}

// TestPrometheus asks a real Prometheus every query of the dashboard: each is understood and has an
// answer, and names no metric and no label that there is not.
func TestPrometheus(t *testing.T) {
	tool(t, "prometheus")
	s, play := monitored(t)
	p := startPrometheus(t, s)
	p.query(t, "sallyport_policy_info")
	play() // there is an increase only after the first scrape
	for _, q := range dashboardQueries(t) {
		filled := strings.NewReplacer("$instance", ".*", "$job", "sallyport", "$__rate_interval", "1m").Replace(q)
		if strings.Contains(filled, "$") {
			t.Errorf("%s: an unknown variable", q)
		}
		p.query(t, filled)
		p.known(t, q)
	}
	for _, q := range alertQueries(t, p) {
		p.known(t, q)
	}
	p.query(t, `sum(sallyport_token_verifications_total{sallyport_token_rule="users", sallyport_token_outcome="valid"}) == 4`)
}

// TestPrometheusNativeHistograms: latencies come as native histograms too.
func TestPrometheusNativeHistograms(t *testing.T) {
	tool(t, "prometheus")
	s, _ := monitored(t)
	p := startPrometheus(t, s, "--enable-feature=native-histograms")
	answer := p.query(t, `sum(histogram_count(sallyport_check_duration_seconds))`)
	if got := answer[0].Value[1]; got != "6" {
		t.Errorf("%v checks, want 6", got)
	}
	median := p.query(t, `histogram_quantile(0.5, sum(sallyport_check_duration_seconds))`)[0].Value[1]
	if seconds, err := strconv.ParseFloat(fmt.Sprint(median), 64); err != nil || seconds <= 0 || seconds > 1 {
		t.Errorf("half of the checks take less than %v s, %v", median, err)
	}
}

func dashboardQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployed, "grafana", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, target.Expr)
		}
	}
	if len(queries) < 20 {
		t.Fatalf("only %d queries", len(queries))
	}
	return queries
}

// alertQueries are those of deploy/prometheus/alerts.yaml, as Prometheus evaluates them.
func alertQueries(t *testing.T, p *prometheus) (queries []string) {
	t.Helper()
	type rule struct{ Name, Query, Health, LastError string }
	until(t, "every alert is evaluated", func() bool {
		var page struct {
			Data struct {
				Groups []struct {
					Rules []rule `json:"rules"`
				} `json:"groups"`
			} `json:"data"`
		}
		if !p.get(t, "/api/v1/rules", &page) || len(page.Data.Groups) != 1 {
			return false
		}
		queries = nil
		for _, r := range page.Data.Groups[0].Rules {
			if r.LastError != "" {
				t.Errorf("%s: %s", r.Name, r.LastError)
			}
			if r.Health == "ok" {
				queries = append(queries, r.Query)
			}
		}
		return len(queries) == len(page.Data.Groups[0].Rules)
	})
	return queries
}

// known wants every name of a query to be a metric or label that Prometheus has seen.
func (p *prometheus) known(t *testing.T, query string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, path := range []string{"/api/v1/label/__name__/values", "/api/v1/labels"} {
		var page struct {
			Data []string `json:"data"`
		}
		if !p.get(t, path, &page) {
			t.Fatalf("no %s", path)
		}
		for _, name := range page.Data {
			seen[name] = true
		}
	}
	for _, name := range regexp.MustCompile(`\b(sallyport|go|process)_[a-z_]+`).FindAllString(query, -1) {
		if !seen[name] {
			t.Errorf("%s: there is no %s, but %v", query, name, slices.Sorted(maps.Keys(seen)))
		}
	}
}
