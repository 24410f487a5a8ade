package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
)

// counts are the counters of Sallyport at /metrics.
func (r *reloading) counts(ctx context.Context) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.line.server.AdminAddr().String()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	counts := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil && strings.HasPrefix(series, "sallyport_") && strings.Contains(series, "_total") {
			counts[series] = n
		}
	}
	return counts, err
}

// records are how many lines the files of the decision logs have.
func (r *reloading) records(t *testing.T) (lines int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(r.file), "log*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines += bytes.Count(text, []byte("\n"))
	}
	return lines
}

// No counter goes back while stages are replaced, and at the end each has counted for all of them.
func TestReloadCounts(t *testing.T) {
	r, write := startReloading(t)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan int)
	go func() {
		var scrapes int
		last := make(map[string]float64)
		for ; ctx.Err() == nil; scrapes++ {
			counts, err := r.counts(t.Context())
			if err != nil {
				t.Error(err)
			}
			for series, n := range last {
				if counts[series] < n {
					t.Errorf("%s went from %v to %v", series, n, counts[series])
				}
			}
			last = counts
		}
		watched <- scrapes
	}()
	const reloads, checks = 12, 20
	for n := range reloads {
		write(n + 1)
		r.look(t.Context())
		for range checks {
			if err := r.check(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	cancel()
	if n := <-watched; n < reloads {
		t.Errorf("only %d scrapes", n)
	}
	counts, err := r.counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	issuer := r.line.stages().cfg.JWT.Rules[0].Issuer
	for series, want := range map[string]float64{
		`sallyport_checks_total{sallyport_decision_outcome="allowed",sallyport_decision_reason="allowed"}`:                                            reloads * checks,
		`sallyport_token_verifications_total{sallyport_token_issuer="` + issuer + `",sallyport_token_outcome="valid",sallyport_token_rule="default"}`: reloads * checks,
		`sallyport_token_cache_lookups_total{sallyport_cache_result="miss"}`:                                                                          1 + 3, // one for each verifier
		`sallyport_token_cache_lookups_total{sallyport_cache_result="hit"}`:                                                                           reloads*checks - 4,
		`sallyport_jwks_fetches_total{sallyport_jwks_outcome="ok",sallyport_token_issuer="` + issuer + `"}`:                                           1 + 3,
		`sallyport_policy_loads_total{sallyport_policy_load_outcome="loaded"}`:                                                                        1 + 3,
		`sallyport_decision_log_dropped_total`:                                                                                                        0,
		`sallyport_checks_shed_total`:                                                                                                                 0,
	} {
		if got, ok := counts[series]; !ok || got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	until(t, "every check has a record", func() bool { return r.records(t) == reloads*checks })
}

// What OPA's plugin has not yet uploaded goes to the service when a change of the policy ends it.
func TestReloadUploads(t *testing.T) {
	uploads := newOutput()
	plane := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if body, err := gzip.NewReader(req.Body); err == nil {
			_, _ = io.Copy(uploads, body)
		}
	}))
	defer plane.Close()
	r, write := startReloading(t)
	write(0)
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	const uploading = "policy:\n  opa: {services: {plane: {url: %q}}, decision_logs: {service: plane, reporting: {min_delay_seconds: 3000, max_delay_seconds: 3600}}}"
	for n := range 3 {
		changed := strings.Replace(string(text), "policy:", fmt.Sprintf(uploading, plane.URL), 1)
		changed = strings.Replace(changed, "generation: 0", fmt.Sprint("generation: ", n), 1)
		if err := os.WriteFile(r.file, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		r.look(t.Context())
		if err := errors.Join(r.trouble(), r.check(t.Context())); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(uploads.String(), `"decision_id"`); got != n {
			t.Errorf("after %d changes %d records are uploaded", n+1, got)
		}
	}
}

// A part is made anew where a setting of another section is its own too.
func TestReloadAcrossSections(t *testing.T) {
	for name, tc := range map[string]struct {
		old, with   string
		engine, log bool
	}{
		"the largest body":    {"request: {", "request: {maxBodyBytes: 2MiB, ", true, false},
		"what decisions keep": {"decisionLog: {", "decisionLog: {keep: {body: ['*']}, ", true, true},
		"the log's queue":     {"decisionLog: {", "decisionLog: {queueRecords: 7, ", false, true},
		"time of a check":     {"timeout: 5s", "timeout: 4s", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := startReloading(t)
			text, err := os.ReadFile(r.file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.file, bytes.Replace(text, []byte(tc.old), []byte(tc.with), 1), 0o600); err != nil {
				t.Fatal(err)
			}
			before := r.line.stages()
			r.look(t.Context())
			after := r.line.stages()
			if after == before {
				t.Fatalf("the file is not taken over: %v", r.trouble())
			}
			if engine, log := after.engine != before.engine, after.log != before.log; engine != tc.engine || log != tc.log {
				t.Errorf("engine anew: %v, log anew: %v", engine, log)
			}
		})
	}
}

// held is a recorder that a check waits for.
type held struct{ entered, leave chan struct{} }

// Record implements [authz.Recorder].
func (h held) Record(context.Context, *authz.Record) error {
	h.entered <- struct{}{}
	<-h.leave
	return nil
}

// A check that is turned away is counted, and has neither decision nor record.
func TestShedIsCounted(t *testing.T) {
	cfg, err := config.Parse("sallyport.yaml", []byte(`
listen: {grpc: "127.0.0.1:0", admin: "127.0.0.1:0", drain: {delay: 0s}}
limits: {checks: 1}
decisionLog: {stdout: false}
`))
	if err != nil {
		t.Fatal(err)
	}
	h := held{make(chan struct{}), make(chan struct{})}
	l, conn := running(t, cfg, h)
	client := auth.NewAuthorizationClient(conn)
	first := make(chan error)
	go func() {
		_, err := client.Check(context.Background(), &auth.CheckRequest{})
		first <- err
	}()
	<-h.entered
	if _, err := client.Check(t.Context(), &auth.CheckRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("the second of one check at once: %v", err)
	}
	close(h.leave)
	if err := <-first; err != nil {
		t.Error(err)
	}
	r := &reloading{reloader: l.reloader}
	counts, err := r.counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var decided float64
	for series, n := range counts {
		if strings.HasPrefix(series, "sallyport_checks_total") {
			decided += n
		}
	}
	if shed := counts["sallyport_checks_shed_total"]; shed != 1 || decided != 1 {
		t.Errorf("%v shed, %v decided", shed, decided)
	}
}
