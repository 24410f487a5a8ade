package policy_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// A control plane receives decision logs as OPA's users have it: batches of JSON, gzipped.
type receiver struct {
	*httptest.Server
	events chan map[string]any
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{events: make(chan map[string]any, 1000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/logs" || req.Header.Get("Content-Encoding") != "gzip" {
			http.Error(w, "not a decision log", http.StatusBadRequest)
			return
		}
		body, err := gzip.NewReader(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var batch []map[string]any
		if err := json.NewDecoder(body).Decode(&batch); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, event := range batch {
			r.events <- event
		}
	}))
	t.Cleanup(func() { r.CloseClientConnections(); r.Close() })
	return r
}

func (r *receiver) next(t *testing.T) map[string]any {
	t.Helper()
	select {
	case event := <-r.events:
		return event
	case <-time.After(20 * time.Second):
		t.Fatal("no decision log came")
		return nil
	}
}

// logging is OPA's configuration with decision logs, sent at once.
func (r *receiver) logging(more map[string]any) map[string]any {
	decisions := map[string]any{"service": "plane", "reporting": map[string]any{"min_delay_seconds": 0, "max_delay_seconds": 0}}
	maps.Copy(decisions, more)
	return map[string]any{
		"services": map[string]any{"plane": map[string]any{"url": r.URL}}, "labels": map[string]any{"id": "sallyport-1", "app": "orders"},
		"decision_logs": decisions,
	}
}

const maskRules = `package system.log

import rego.v1

mask contains "/input/parsed_query/page"

mask contains {"op": "upsert", "path": "/input/parsed_query/user", "value": ["somebody"]}

mask contains "/result/headers/x-user"

drop if input.result.http_status == 404

drop if input.path == "never"
`

const logged = `{"decision_id":%q,"timestamp":"2026-11-24T03:00:00.123456789Z","duration_us":250,"allowed":%v,"reason":"policy_denied",` +
	`"detail":"lacks role admin","status":%d,"revision":"r1","entrypoint":"data.envoy.authz.allow","trace_id":"01","span_id":"02",` +
	`"answer":{"set_headers":[{"name":"x-user","value":"ann"}],"remove_headers":["x-role"],"response_headers":[{"name":"a","value":"1"},{"name":"a","value":"2"}]},` +
	`"input":{"parsed_path":["orders"],"parsed_query":{"page":["7"],"user":["ann"]},"n":9007199254740993},` +
	`"nd_builtin_cache":{"rand.intn":{"[\"x\",5]":3}},"complete":true}` + "\n"

// TestDecisionLogs has a control plane receive what opa-envoy-plugin would send, masked and dropped by
// rules that come with the files, or with a bundle.
func TestDecisionLogs(t *testing.T) {
	r := newReceiver(t)
	config := r.logging(nil)
	config["nd_builtin_cache"] = true
	dir := write(t, map[string]string{"authz.rego": "package envoy.authz\n\nallow := true\n", "mask.rego": maskRules})
	e, _ := started(t, policy.Config{Files: []string{dir}, OPA: config})
	sink := e.DecisionLogs()
	lines := fmt.Sprintf(logged, "d1", true, 0) + fmt.Sprintf(logged, "d2", false, 404) + fmt.Sprintf(logged, "d3", false, 403)
	if n, err := sink.Write([]byte(lines)); err != nil || n != len(lines) {
		t.Fatalf("%d of %d bytes, %v", n, len(lines), err)
	}
	allowed := r.next(t)
	labels, _ := allowed["labels"].(map[string]any)
	delete(allowed, "labels")
	want := map[string]any{
		"decision_id": "d1", "timestamp": "2026-11-24T03:00:00.123456789Z", "path": "envoy/authz/allow", "revision": "r1",
		"trace_id": "01", "span_id": "02",
		"input":            map[string]any{"parsed_path": []any{"orders"}, "parsed_query": map[string]any{"user": []any{"somebody"}}, "n": 9007199254740993.0},
		"result":           map[string]any{"allowed": true, "headers": map[string]any{}, "request_headers_to_remove": []any{"x-role"}, "response_headers_to_add": map[string]any{"a": []any{"1", "2"}}},
		"erased":           []any{"/input/parsed_query/page", "/result/headers/x-user"},
		"masked":           []any{"/input/parsed_query/user"},
		"nd_builtin_cache": map[string]any{"rand.intn": map[string]any{`["x",5]`: 3.0}},
		"metrics":          map[string]any{"timer_server_handler_ns": 250000.0},
		"custom":           map[string]any{"reason": "policy_denied", "detail": "lacks role admin"},
	}
	if diff := cmp.Diff(want, allowed); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if labels["id"] != "sallyport-1" || labels["app"] != "orders" || labels["version"] == "" {
		t.Errorf("labels %v", labels)
	}
	denied := r.next(t)
	if denied["decision_id"] != "d3" {
		t.Errorf("after the first came %v: the second is to be dropped", denied["decision_id"])
	}
	wantResult := map[string]any{
		"allowed": false, "http_status": 403.0, "headers": map[string]any{"a": []any{"1", "2"}}, "request_headers_to_remove": []any{"x-role"},
	}
	if diff := cmp.Diff(wantResult, denied["result"]); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

// TestDecisionLogsOfBundles has the rules in a bundle, and its revision in the event; the bundle
// changes, and so does what is masked. What is in the buffer at the end is sent.
func TestDecisionLogsOfBundles(t *testing.T) {
	plane, r := newReceiver(t), newRegistry(t)
	rules := func(mask string) string {
		return "package envoy.authz\n\nallow := true\n\nmask contains \"/input/" + mask + "\"\n"
	}
	r.serve(bundlePath, pack(t, content{revision: "r1", rego: rules("n"), data: found(1)}, nil))
	config := opa(r.URL, nil, plane.logging(map[string]any{"mask_decision": "/envoy/authz/mask"}))
	services, _ := config["services"].(map[string]any)
	services["registry"] = map[string]any{"url": r.URL}
	e, j := started(t, policy.Config{OPA: config})
	j.await(t, "policy loaded revision=r1")
	if _, err := e.DecisionLogs().Write(fmt.Appendf(nil, logged, "d1", true, 0)); err != nil {
		t.Fatal(err)
	}
	event := plane.next(t)
	if diff := cmp.Diff([]any{"/input/n"}, event["erased"]); diff != "" {
		t.Errorf("erased (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"authz": map[string]any{"revision": "r1"}}, event["bundles"]); diff != "" {
		t.Errorf("bundles (-want +got):\n%s", diff)
	}
	if _, sent := event["nd_builtin_cache"]; sent {
		t.Error("results of builtins are sent, and nd_builtin_cache is off")
	}
	// Checks go on meanwhile: what OPA's plugins compile into is not what checks read.
	ctx, cancel := context.WithCancel(t.Context())
	var checks sync.WaitGroup
	checks.Go(func() {
		for ctx.Err() == nil {
			_, _ = e.Decide(context.Background(), get(t, "/orders"), authz.Identity{})
		}
	})
	patch := []opabundle.PatchOperation{{Op: "replace", Path: "/found/a", Value: 2}}
	r.serve(bundlePath, pack(t, content{revision: "patched", patch: patch}, nil))
	j.await(t, "policy loaded revision=patched")
	r.serve(bundlePath, pack(t, content{revision: "r2", rego: rules("parsed_path")}, nil))
	j.await(t, "policy loaded revision=r2")
	cancel()
	checks.Wait()
	if _, err := e.DecisionLogs().Write(fmt.Appendf(nil, logged, "d2", true, 0)); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if event := plane.next(t); event["decision_id"] != "d2" || !cmp.Equal([]any{"/input/parsed_path"}, event["erased"]) {
		t.Errorf("the last event: %v", event)
	}
}

// TestDecisionLogsOnTheConsole prints decisions as messages, where OPA's configuration says so.
func TestDecisionLogsOnTheConsole(t *testing.T) {
	dir := write(t, map[string]string{"authz.rego": "package envoy.authz\n\nallow := true\n"})
	config := policy.Config{Files: []string{dir}, OPA: map[string]any{"decision_logs": map[string]any{"console": true}}}
	if err := policy.Validate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	e, j := started(t, config)
	if _, err := e.DecisionLogs().Write(fmt.Appendf(nil, logged, "d1", true, 0)); err != nil {
		t.Fatal(err)
	}
	if line := j.await(t, "Decision Log"); !strings.Contains(line, "decision_id=d1") {
		t.Errorf("the message: %s", line)
	}
	if _, err := e.DecisionLogs().Write([]byte("no JSON\n")); err == nil {
		t.Error("a line that is no record was taken")
	}
}

// TestNoDecisionLogs has no sink where OPA's configuration asks for none.
func TestNoDecisionLogs(t *testing.T) {
	e := configured(t, "allow := true", policy.Config{OPA: map[string]any{"labels": map[string]any{"id": "x"}}})
	t.Cleanup(func() { _ = e.Close() })
	if e.DecisionLogs() != nil {
		t.Error("there is a sink")
	}
	if policy.LogsDecisions(nil) || !policy.LogsDecisions(map[string]any{"discovery": map[string]any{}}) {
		t.Error("discovery may bring decision logs")
	}
}
