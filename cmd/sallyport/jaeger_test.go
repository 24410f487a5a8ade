package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

// A jaeger is a real one that keeps traces in memory.
type jaeger struct {
	otlp net.Addr // over gRPC
	url  string   // of its query API
}

// jaegerBinary is the one that hack/test found. Without one the test is skipped, and no CI passes.
func jaegerBinary(t *testing.T) string {
	t.Helper()
	binary := os.Getenv("JAEGER")
	switch {
	case binary != "":
	case os.Getenv("CI") == "true":
		t.Fatal("JAEGER is not set: hack/test sets it")
	default:
		fmt.Fprintf(os.Stderr, "\n*** %s is NOT run: JAEGER is not set; hack/test sets it\n", t.Name())
		t.Skip("JAEGER is not set; hack/test sets it")
	}
	return binary
}

// startJaeger starts one, and tells Sallyport's telemetry of it.
func startJaeger(t *testing.T) *jaeger {
	t.Helper()
	binary := jaegerBinary(t)
	otlp, query := freePort(t), freePort(t)
	args := []string{
		"--collector.otlp.grpc.host-port=" + envoytest.Loopback(otlp),
		"--query.http-server.host-port=" + envoytest.Loopback(query),
		"--log-level=warn",
	}
	for _, unused := range []string{
		"collector.otlp.http", "query.grpc-server", "admin.http", "collector.http-server", "collector.grpc-server",
	} {
		args = append(args, "--"+unused+".host-port="+envoytest.Loopback(freePort(t)))
	}
	startProcess(t, binary, args...)
	j := &jaeger{otlp: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: otlp}, url: "http://" + envoytest.Loopback(query)}
	until(t, "Jaeger answers", func() bool {
		response, err := http.Get(j.url + "/api/services")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+j.otlp.String())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	t.Setenv("OTEL_METRICS_EXPORTER", "none") // Jaeger takes traces alone
	t.Setenv("OTEL_LOGS_EXPORTER", "none")
	return j
}

// A jaegerTrace is what the query API says of a trace.
type jaegerTrace struct {
	TraceID string       `json:"traceID"`
	Spans   []jaegerSpan `json:"spans"`

	Processes map[string]struct {
		ServiceName string `json:"serviceName"`
	} `json:"processes"`
}

type jaegerSpan struct {
	ID         string `json:"spanID"`
	Name       string `json:"operationName"`
	Process    string `json:"processID"`
	Start      int64  `json:"startTime"` // microseconds
	Duration   int64  `json:"duration"`  // likewise
	References []struct {
		Type string `json:"refType"`
		Span string `json:"spanID"`
	} `json:"references"`
	Tags []struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	} `json:"tags"`
}

// trace waits for a trace of so many spans, and reads it back.
func (j *jaeger) trace(t *testing.T, id string, spans int) (found jaegerTrace) {
	t.Helper()
	until(t, fmt.Sprintf("%d spans of the trace %s", spans, id), func() bool {
		response, err := http.Get(j.url + "/api/traces/" + id)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var page struct {
			Data []jaegerTrace `json:"data"`
		}
		if json.NewDecoder(response.Body).Decode(&page) != nil || len(page.Data) == 0 {
			return false
		}
		found = page.Data[0]
		return len(found.Spans) >= spans
	})
	return found
}

// tree draws the spans below one, by their beginning.
func (j jaegerTrace) tree(parent, indent string) (lines []string) {
	spans := slices.DeleteFunc(slices.Clone(j.Spans), func(s jaegerSpan) bool { return s.parent() != parent })
	slices.SortFunc(spans, func(a, b jaegerSpan) int { return int(a.Start - b.Start) })
	for _, s := range spans {
		lines = append(lines, indent+j.Processes[s.Process].ServiceName+": "+s.Name)
		lines = append(lines, j.tree(s.ID, indent+"  ")...)
	}
	return lines
}

func (s jaegerSpan) parent() string {
	for _, r := range s.References {
		if r.Type == "CHILD_OF" {
			return r.Span
		}
	}
	return ""
}

func (s jaegerSpan) tag(name string) any {
	for _, tag := range s.Tags {
		if tag.Key == name {
			return tag.Value
		}
	}
	return nil
}

// TestEnvoyJaeger reads the trace of a request through Envoy back from a tracing backend. With
// TRACE=FILE it is kept there, for hack/picture.
func TestEnvoyJaeger(t *testing.T) {
	j := startJaeger(t)
	m := startMesh(t, setup{config: "routes.yaml", collector: j.otlp, edits: []edit{tracesAtOnce()}})
	bearer := http.Header{"Authorization": {"Bearer " + m.token(t, map[string]any{"roles": []string{"clerk"}})}}
	exchange{path: "/public/page", wantStatus: 200}.run(t, m, http1()) // Envoy connects
	exchange{path: "/orders/7", header: bearer, wantStatus: 200}.run(t, m, http1())
	access := await(t, m.access, func(a accessEntry) bool { return a.Path == "/orders/7" })
	m.stop() // exports what is left
	trace := j.trace(t, access.TraceID, 6)
	want := []string{
		"envoy: ingress",
		"  envoy: async envoy.service.auth.v3.Authorization.Check egress",
		"    sallyport: envoy.service.auth.v3.Authorization/Check",
		"      sallyport: verify token",
		"        sallyport: verify token users",
		"      sallyport: evaluate policy",
	}
	if diff := cmp.Diff(want, trace.tree("", "")); diff != "" {
		t.Errorf("the trace (-want +got):\n%s", diff)
	}
	for _, s := range trace.Spans {
		if strings.HasSuffix(s.Name, "Authorization/Check") && (s.tag("sallyport.decision.id") != access.DecisionID || s.tag("sallyport.decision.reason") != "allowed") {
			t.Errorf("tags %v, want the decision %s", s.Tags, access.DecisionID)
		}
	}
	if name := os.Getenv("TRACE"); name != "" {
		text, err := json.Marshal(trace)
		if err != nil || os.WriteFile(name, text, 0o600) != nil {
			t.Fatal("the trace is not kept: ", err)
		}
	}
}
