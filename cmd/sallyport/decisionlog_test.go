package main

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/decisionlog"
	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
	decisionv1 "github.com/sallyport/sallyport/proto/sallyport/decision/v1"
)

// readsAll reads all of a request, and denies it in its own words.
const readsAll = `package envoy.authz

allow := {"allowed": false, "http_status": 403, "headers": {"x-seen": sprintf("Bearer %v", [count(json.marshal(input))])}, "dynamic_metadata": {"rule": "all"}}
`

const everySink = `
listen: {grpc: "127.0.0.1:0", admin: "127.0.0.1:0", drain: {delay: 0s}}
policy:
  files: [authz.rego]
  opa:
    services: {plane: {url: %q}}
    decision_logs: {service: plane, reporting: {min_delay_seconds: 0, max_delay_seconds: 0}}
decisionLog:
  file: decisions.ndjson
  maxSize: 1MiB
  otlp: true
  keep: {headers: [x-tenant], cookies: [lang], query: [page], claims: ["*"], body: ["*"]}
`

// TestDecisionLogSinks has a record go to every sink, the same in each, with what may be kept and
// without a credential, though the policy reads all.
func TestDecisionLogSinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "authz.rego"), []byte(readsAll), 0o600); err != nil {
		t.Fatal(err)
	}
	uploads := newOutput()
	plane := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if body, err := gzip.NewReader(req.Body); err == nil {
			_, _ = io.Copy(uploads, body)
		}
	}))
	t.Cleanup(plane.Close)
	collector := startCollector(t, "")
	cfg, err := config.Parse(filepath.Join(dir, "sallyport.yaml"), fmt.Appendf(nil, everySink, plane.URL))
	if err != nil {
		t.Fatal(err)
	}
	s := &sallyport{decisions: newOutput(), messages: newOutput()}
	s.run(t, cfg)
	askWithSecrets(t, s.addr.String())
	s.stop()
	file, err := os.ReadFile(filepath.Join(dir, "decisions.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	if string(file) != s.decisions.String() {
		t.Errorf("the file has\n%s\nstandard output\n%s", file, s.decisions)
	}
	kept := collector.Kept()
	exported := ""
	for _, r := range kept.Logs {
		if r.GetEventName() == decisionlog.EventName {
			exported += prototext.Format(r)
		}
	}
	record := checkRecord(t, string(file))
	for name, text := range map[string]string{"the file": string(file), "OTLP": exported, "OPA's service": uploads.String()} {
		for _, want := range []string{record.GetDecisionId(), "acme", "policy_denied", "grüße", "/orders"} {
			if !strings.Contains(text, want) && !strings.Contains(text, strings.ReplaceAll(want, "ü", "\\303\\274")) {
				t.Errorf("%s lacks %s:\n%s", name, want, text)
			}
		}
		if strings.Contains(text, "planted") {
			t.Errorf("%s has a secret:\n%s", name, text)
		}
	}
}

// askWithSecrets sends a request full of secrets that say so, by their names or shapes.
func askWithSecrets(t *testing.T, addr string) {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"note": "grüße", "password": "planted-1", "in": [{"api_key": "planted-2"}], "link": "https://a:planted-3@b/"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://orders.example.com/orders/reset-token/0planted0planted0?page=2&access_token=planted-4&u=https%3A%2F%2Fb%2F%3Fsecret%3Dplanted-5", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-Tenant": "acme", "Cookie": "lang=de; sid=planted-6", "Authorization": "Basic planted-7",
		"X-Api-Key": "planted-8", "X-Note": "bearer planted-9", "Referer": "https://b/?jwt=planted-10",
	} {
		req.Header.Set(name, value)
	}
	client := http.Client{Transport: &envoytest.Client{Sallyport: conn}}
	answer, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", answer.StatusCode)
	}
}

// checkRecord reads the one line of a log as the message that it is.
func checkRecord(t *testing.T, line string) *decisionv1.Decision {
	t.Helper()
	var d decisionv1.Decision
	if err := protojson.Unmarshal([]byte(line), &d); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	switch {
	case d.GetAllowed() || d.GetStatus() != 403 || d.GetEntrypoint() != "data.envoy.authz.allow" || d.GetRule() != "all" || d.GetTraceId() == "":
		t.Errorf("the decision is %v", &d)
	case d.GetHeaders()["x-tenant"] != "acme" || d.GetCookies()["lang"] != "de" || d.GetQuery()["page"] != "2":
		t.Errorf("what is to be kept is %v, %v, %v", d.GetHeaders(), d.GetCookies(), d.GetQuery())
	case d.GetComplete() || d.GetIncomplete() == "" || len(d.GetMasked()) < 8:
		t.Errorf("complete %v, %q, %q", d.GetComplete(), d.GetIncomplete(), d.GetMasked())
	case d.GetPath() != "/orders/reset-token/[masked]" || d.GetAnswer().GetResponseHeaders()[0].GetValue() != "[masked]":
		t.Errorf("path %s, answer %v", d.GetPath(), d.GetAnswer())
	}
	return &d
}

// TestDecisionLogMistakes has what only the start can find shown at its place in the file.
func TestDecisionLogMistakes(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	t.Setenv("OTEL_LOGS_EXPORTER", "")
	for setting, want := range map[string]string{
		"{otlp: true}":    "decisionLog.otlp: nothing exports log records: set OTEL_EXPORTER_OTLP_ENDPOINT, or OTEL_LOGS_EXPORTER",
		"{file: /dev}":    "decisionLog.file: decisionlog: open /dev: is a directory",
		"{stdout: false}": "",
	} {
		cfg, err := config.Parse("sallyport.yaml", []byte("listen: {grpc: \"127.0.0.1:0\", admin: \"127.0.0.1:0\"}\ndecisionLog: "+setting))
		if err != nil {
			t.Fatal(err)
		}
		env := environment{stdout: io.Discard, logger: slog.New(slog.DiscardHandler)}
		l, err := build(t.Context(), cfg, env)
		if err == nil {
			err = l.close(context.Background())
		}
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", setting, got, want)
		}
	}
}

// TestLogConfig holds that no setting of the log is lost on the way.
func TestLogConfig(t *testing.T) {
	cfg := config.Default()
	cfg.DecisionLog.Keep = config.Keep{Headers: []string{"a"}, Cookies: []string{"b"}, Query: []string{"c"}, Claims: []string{"d"}, Body: []string{"e"}}
	got := logConfig(&cfg, []decisionlog.Sink{{Name: "test"}})
	for _, field := range reflect.VisibleFields(reflect.TypeFor[decisionlog.Config]()) {
		if field.Name != "Logger" && reflect.ValueOf(got).FieldByIndex(field.Index).IsZero() {
			t.Errorf("%s is lost", field.Name)
		}
	}
	want := decisionlog.Keep{Headers: []string{"a"}, Cookies: []string{"b"}, Query: []string{"c"}, Claims: []string{"d"}}
	if diff := cmp.Diff(want, got.Keep); diff != "" {
		t.Errorf("what is kept (-want +got):\n%s", diff)
	}
	if r := recording(&cfg); !slices.Equal(r.Claims, []string{"d"}) || !slices.Equal(r.Body, []string{"e"}) {
		t.Errorf("recording %+v", r)
	}
	cfg.DecisionLog.Stdout = false
	if recording(&cfg) != nil {
		t.Error("nobody takes records, and decisions carry their basis")
	}
}
