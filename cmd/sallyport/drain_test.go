package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// askingOften is what makes Envoy's health checks, and its pings, come as often as a test needs.
func askingOften() []edit {
	return []edit{
		{"no_traffic_interval: 5s", "no_traffic_interval: 0.05s"}, {"      interval: 5s", "      interval: 0.05s"},
	}
}

// Of two Sallyports behind an Envoy one is told to end while requests come without a pause: it says
// so, Envoy goes to the other, and no request fails. The filter has no retry policy.
func TestEnvoyDrain(t *testing.T) {
	other := startSallyport(t, "routes.yaml")
	m := startMesh(t, setup{
		config: "routes.yaml", settings: []edit{{"drain: {delay: 0s}", "drain: {delay: 500ms}"}}, edits: append(askingOften(), beside(other.addr)),
	})
	m.awaitHealth(t, "healthy")
	var requests atomic.Int64
	stop := m.load(t, &requests)
	passed(t, &requests, 100)
	m.stop()
	passed(t, &requests, 100)
	stop()
	if n := strings.Count(m.decisions.String(), "\n"); n == 0 {
		t.Error("the Sallyport that ended was never asked")
	}
	if n := strings.Count(other.decisions.String(), "\n"); n == 0 {
		t.Error("the other Sallyport was never asked")
	}
	t.Logf("%d requests", requests.Load())
}

// beside gives the cluster a second host.
func beside(addr net.Addr) edit {
	const endpoint = "        - endpoint:\n            address: {socket_address: {address: 127.0.0.1, port_value: 9191}}\n"
	return edit{endpoint, endpoint + strings.Replace(endpoint, "9191", fmt.Sprint(port(addr)), 1)}
}

// With the retry policy of deploy/envoy/README.md a check that one host does not take goes to the
// other: here one is always too busy.
func TestEnvoyRetriesElsewhere(t *testing.T) {
	busy, addr := startPlainAuthz(t, map[string]*auth.CheckResponse{})
	cluster := "envoy_grpc: {cluster_name: sallyport}\n"
	for _, tc := range []struct {
		name  string
		retry string
		want  bool // that they pass
	}{
		{"with the policy", retryPolicy(t), true}, {"without", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := startMesh(t, setup{config: "routes.yaml", edits: []edit{beside(addr), {cluster, cluster + tc.retry}}})
			before, failed, begin := busy.errors.Load(), 0, time.Now()
			for range 20 {
				if got := (exchange{path: "/public/page"}).send(t, http1(), m.url); got.status != http.StatusOK {
					failed++
				}
			}
			if (failed == 0) != tc.want {
				t.Errorf("%d of 20 failed", failed)
			}
			if took := time.Since(begin); took > 5*time.Second { // ten waits of up to a second are Envoy's default
				t.Errorf("20 requests took %s", took)
			}
			if busy.errors.Load() == before {
				t.Error("the busy one was never asked")
			}
		})
	}
}

// retryPolicy is that of the page, indented as the filter's grpc_service is, and as patient as patient.
func retryPolicy(t *testing.T) string {
	t.Helper()
	return "                " + edited(t, ofPage(t, "retry_policy"), []edit{{"max_interval: 0.25s", "max_interval: 7s"}}) + "\n"
}

// ofPage is a line of YAML of deploy/envoy/README.md, by its first word.
func ofPage(t *testing.T, setting string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "deploy", "envoy", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ *(` + setting + `: .*)$`).FindSubmatch(page)
	if line == nil {
		t.Fatalf("the page has no %s", setting)
	}
	return string(line[1])
}

// load sends requests without a pause, each of which must be allowed, until it is stopped.
func (m *mesh) load(t *testing.T, requests *atomic.Int64) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			client := http1()
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+"/public/page", nil)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := client.Do(req)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("status %d", resp.StatusCode)
				}
				requests.Add(1)
			}
		})
	}
	return func() { cancel(); clients.Wait() }
}

// passed waits until some more requests were answered.
func passed(t *testing.T, requests *atomic.Int64, more int64) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := requests.Load() + more; requests.Load() < end; {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("no more requests were answered")
		}
	}
}

// Envoy may ping as often as every second, with no check under way, and connections have an age:
// neither fails a request, and the first costs no connection.
func TestEnvoyKeepsItsConnection(t *testing.T) {
	m := startMesh(t, setup{config: "routes.yaml", edits: []edit{{"{interval: 30s, timeout: 5s}", "{interval: 1s, timeout: 5s}"}}})
	exchange{path: "/public/page", wantStatus: 200}.run(t, m, http1())
	pings := time.NewTimer(4 * time.Second)
	<-pings.C
	exchange{path: "/public/page", wantStatus: 200}.run(t, m, http1())
	if got := m.stat(t, "cluster.sallyport.upstream_cx_total"); got != "1" {
		t.Errorf("%s connections, want 1", got)
	}
}

func TestEnvoyConnectionsOfAge(t *testing.T) {
	m := startMesh(t, setup{
		config: "routes.yaml", settings: []edit{{"policy:\n", "limits: {connectionAge: 200ms}\npolicy:\n"}},
	})
	var requests atomic.Int64
	stop := m.load(t, &requests)
	wait := time.NewTimer(2 * time.Second)
	<-wait.C
	stop()
	if got := m.stat(t, "cluster.sallyport.upstream_cx_total"); len(got) < 1 || got == "1" {
		t.Errorf("%s connections, want some", got)
	}
	t.Logf("%d requests over %s connections", requests.Load(), m.stat(t, "cluster.sallyport.upstream_cx_total"))
}

// stat is a counter of Envoy's.
func (m *mesh) stat(t *testing.T, name string) string {
	t.Helper()
	_, value, _ := strings.Cut(m.ask(t, "/stats?filter=^"+name+"$"), ": ")
	return strings.TrimSpace(value)
}
