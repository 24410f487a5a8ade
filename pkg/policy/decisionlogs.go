package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/bundle"
	"github.com/open-policy-agent/opa/v1/plugins/logs"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage"
)

// LogsDecisions tells whether OPA's configuration asks for decision logs, or may come to by discovery.
func LogsDecisions(opa map[string]any) bool {
	return opa["decision_logs"] != nil || opa["discovery"] != nil
}

// DecisionLogs is a sink for lines of sallyport.decision.v1: it hands each to OPA's decision-log
// plugin, which drops and masks by policy (system.log.drop, system.log.mask), and uploads to a
// service. It is nil where OPA's configuration has no use for it.
//
// A service gets what it would get from opa-envoy-plugin, but for this: the input is what the policy
// read, masked; the result is an object, made of what the answer says; reason, status and detail are
// under custom. Rules that mask and drop see all rules of the policy, and the data of bundles.
func (e *Engine) DecisionLogs() *DecisionLogs {
	if e.opa == nil || !LogsDecisions(e.config.OPA) {
		return nil
	}
	return &DecisionLogs{e.opa}
}

// DecisionLogs takes decisions for OPA's plugin. See [Engine.DecisionLogs].
type DecisionLogs struct{ opa *controlPlane }

// Write implements [io.Writer] for whole lines. It does not wait for the service: the plugin has a
// buffer of its own.
func (d *DecisionLogs) Write(lines []byte) (int, error) {
	plugin := logs.Lookup(d.opa.manager)
	if plugin == nil { // discovery has brought none
		return len(lines), nil
	}
	var errs []error
	for line := range bytes.Lines(lines) {
		errs = append(errs, d.log(plugin, line))
	}
	return len(lines), errors.Join(errs...)
}

func (d *DecisionLogs) log(plugin *logs.Plugin, line []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	var record loggedDecision
	if err := decoder.Decode(&record); err != nil {
		return fmt.Errorf("policy: log a decision: %w", err)
	}
	ctx := context.Background()
	info := record.info()
	if !d.opa.manager.GetConfig().NDBuiltinCacheEnabled() {
		info.NDBuiltinCache = nil
	}
	return storage.Txn(ctx, d.opa.manager.Store, storage.TransactionParams{}, func(txn storage.Transaction) error {
		info.Txn = txn
		info.Bundles = d.bundles(ctx, txn)
		return plugin.Log(ctx, info)
	})
}

// bundles are the active ones.
func (d *DecisionLogs) bundles(ctx context.Context, txn storage.Transaction) map[string]server.BundleInfo {
	p := bundle.Lookup(d.opa.manager)
	if p == nil {
		return nil
	}
	found := map[string]server.BundleInfo{}
	for name := range p.Config().Bundles {
		if revision, err := readRevision(ctx, d.opa.manager.Store, txn, name); err == nil {
			found[name] = server.BundleInfo{Revision: revision}
		}
	}
	return found
}

// A loggedDecision is what is read of a line of sallyport.decision.v1.
type loggedDecision struct {
	DecisionID string    `json:"decision_id"`
	Timestamp  time.Time `json:"timestamp"`
	DurationUS int64     `json:"duration_us"`
	Allowed    bool      `json:"allowed"`
	Reason     string    `json:"reason"`
	Detail     string    `json:"detail"`
	Status     int       `json:"status"`
	Revision   string    `json:"revision"`
	Entrypoint string    `json:"entrypoint"`
	TraceID    string    `json:"trace_id"`
	SpanID     string    `json:"span_id"`
	Answer     struct {
		SetHeaders      []loggedHeader `json:"set_headers"`
		RemoveHeaders   []any          `json:"remove_headers"`
		ResponseHeaders []loggedHeader `json:"response_headers"`
		SetQuery        []loggedHeader `json:"set_query"`
		RemoveQuery     []any          `json:"remove_query"`
	} `json:"answer"`
	Input   *any `json:"input"`
	Results *any `json:"nd_builtin_cache"`
}

type loggedHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// info is the decision as OPA's plugin takes it.
func (l *loggedDecision) info() *server.Info {
	custom := map[string]any{"reason": l.Reason}
	if l.Detail != "" {
		custom["detail"] = l.Detail
	}
	result := l.result()
	return &server.Info{
		DecisionID: l.DecisionID, Timestamp: l.Timestamp, TraceID: l.TraceID, SpanID: l.SpanID, Revision: l.Revision,
		Path: pathOf(l.Entrypoint), Input: l.Input, Results: &result, NDBuiltinCache: l.Results, Custom: custom,
		Metrics: &handled{metrics.NoOp(), time.Duration(l.DurationUS) * time.Microsecond},
	}
}

// pathOf is envoy/authz/allow for data.envoy.authz.allow.
func pathOf(entrypoint string) string {
	ref, err := ast.ParseRef(entrypoint)
	if err != nil {
		return ""
	}
	path, err := storage.NewPathForRef(ref)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(path.String(), "/")
}

// result is the answer in the words of opa-envoy-plugin.
func (l *loggedDecision) result() any {
	result := map[string]any{"allowed": l.Allowed}
	headers, response := l.Answer.SetHeaders, l.Answer.ResponseHeaders
	if !l.Allowed {
		headers, response = response, nil
		result["http_status"] = json.Number(fmt.Sprint(l.Status))
	}
	for name, list := range map[string][]loggedHeader{
		"headers": headers, "response_headers_to_add": response, "query_parameters_to_set": l.Answer.SetQuery,
	} {
		if len(list) > 0 {
			result[name] = byName(list)
		}
	}
	for name, list := range map[string][]any{
		"request_headers_to_remove": l.Answer.RemoveHeaders, "query_parameters_to_remove": l.Answer.RemoveQuery,
	} {
		if len(list) > 0 {
			result[name] = list
		}
	}
	return result
}

func byName(list []loggedHeader) map[string]any {
	object := make(map[string]any, len(list))
	for _, h := range list {
		switch had := object[h.Name].(type) {
		case nil:
			object[h.Name] = h.Value
		case string:
			object[h.Name] = []any{had, h.Value}
		case []any:
			object[h.Name] = append(had, h.Value)
		}
	}
	return object
}

// handled has the one metric of a decision that is known here, under OPA's name.
type handled struct {
	metrics.Metrics
	took time.Duration
}

// All implements [metrics.Metrics].
func (h *handled) All() map[string]any {
	return map[string]any{"timer_server_handler_ns": h.took.Nanoseconds()}
}

// lend compiles the modules once more for OPA's plugins, which compile bundles into the compiler that
// they have: that must not be the one that checks read.
func (s *snapshot) lend(ctx context.Context, src *source) (*ast.Compiler, error) {
	if !s.limits.logging {
		return nil, nil
	}
	again := *s
	err := again.compile(ctx, src.modules, src.capabilities)
	return again.compiler, err
}

// adopt gives OPA's plugins the rules of the policy that decides now, those of files as well: the
// decision-log plugin asks some of them.
func (c *controlPlane) adopt(ctx context.Context, made *edition) error {
	if c == nil || !c.started || made == nil || made.lent == nil {
		return nil
	}
	params := storage.TransactionParams{Write: true, Context: storage.NewContext()}
	plugins.SetCompilerOnContext(params.Context, made.lent)
	// On the store behind the gate, because nothing is written from which to make a policy.
	return storage.Txn(ctx, c.store.Store, params, func(storage.Transaction) error { return nil })
}
