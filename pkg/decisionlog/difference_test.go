package decisionlog_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/decisionlog"
	decisionv1 "github.com/sallyport/sallyport/proto/sallyport/decision/v1"
)

func comparison() *authz.Comparison {
	live := record()
	return &authz.Comparison{
		Record: live,
		Candidate: authz.Decision{
			Reason: authz.PolicyDenied, Detail: "of Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlc2lnbmF0dXJl", Status: 429,
			Revision: "r2", Entrypoint: "data.a.b", Metadata: map[string]any{"rule": "limits"},
			Denial: []authz.Header{{Name: "x-quota", Value: "none"}},
		},
		Difference: authz.Difference{Verdict: authz.Changed, Effects: []string{"response header x-quota", "status"}},
		Duration:   1500 * time.Microsecond,
	}
}

// The line of a difference is of the format of records, without what the caller got and what the
// policy read, and without credentials.
func TestDifferenceLine(t *testing.T) {
	c := comparison()
	text := decisionlog.NewFormat(decisionlog.Keep{}).Difference(c)
	var d decisionv1.Decision
	if err := protojson.Unmarshal(text, &d); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	got := d.GetCandidate()
	if d.GetDecisionId() != c.Record.ID || d.GetReason() != string(c.Record.Decision.Reason) || d.GetInput() != nil || d.GetAnswer() != nil || d.Complete != nil {
		t.Errorf("the check is %s", text)
	}
	if got.GetVerdict() != "changed" || got.GetStatus() != 429 || got.GetRevision() != "r2" || got.GetRule() != "limits" || got.GetDurationUs() != 1500 || got.GetAllowed() {
		t.Errorf("the candidate is %v", got)
	}
	if diff := cmp.Diff(c.Difference.Effects, got.GetEffects()); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(string(text), "eyJ") || !strings.Contains(got.GetDetail(), "[masked]") || strings.Contains(string(text), "none") {
		t.Errorf("a credential, or a header's value, is in %s", text)
	}
}

// Differences take no room from the records of checks, are no loss where they have none, and come to no
// sink that is for checks only.
func TestDifferencesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const room = 100
		sink := newStuck()
		var checks bytes.Buffer
		log := decisionlog.New(decisionlog.Config{
			Sinks:    []decisionlog.Sink{{Name: "a", Writer: sink}, {Name: "opa", Writer: &checks, ChecksOnly: true}},
			MaxLines: room, WhenFull: decisionlog.Deny,
		})
		for range 3 * room {
			log.Difference(comparison())
		}
		for range room / 2 {
			if err := log.Record(t.Context(), record()); err != nil {
				t.Fatalf("a check was denied for the sake of differences: %v", err)
			}
		}
		if n := log.Dropped(); n != 0 {
			t.Errorf("%d differences were counted as lost records", n)
		}
		close(sink.release)
		if err := log.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if sink.lines != room || bytes.Count(checks.Bytes(), []byte("\n")) != room/2 || bytes.Contains(checks.Bytes(), []byte("candidate")) {
			t.Errorf("%d lines, want %d; for checks alone:\n%s", sink.lines, room, checks.String())
		}
	})
}

// A difference has a name of its own among OpenTelemetry's log records.
func TestDifferenceInOTel(t *testing.T) {
	c := &collector{}
	if _, err := (decisionlog.OTel{Logger: c}).Write(decisionlog.NewFormat(decisionlog.Keep{}).Difference(comparison())); err != nil {
		t.Fatal(err)
	}
	verdict := ""
	c.records[0].WalkAttributes(func(kv attribute.KeyValue) bool {
		if kv.Key == "sallyport.candidate.verdict" {
			verdict = kv.Value.String()
		}
		return true
	})
	if c.records[0].EventName() != decisionlog.DifferenceEventName || verdict != "changed" {
		t.Errorf("%s of verdict %q", c.records[0].EventName(), verdict)
	}
}
