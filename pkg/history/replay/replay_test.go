package replay_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/replay"
)

// A decider decides by a function.
type decider func(r *history.Record) (authz.Decision, error)

func (d decider) Again(_ context.Context, r *history.Record) (authz.Decision, error) { return d(r) }

// allows is a policy that allows under some paths, and sets a header.
func allows(prefixes ...string) decider {
	return func(r *history.Record) (authz.Decision, error) {
		for _, prefix := range prefixes {
			if strings.HasPrefix(r.Path, prefix) {
				return authz.Decision{Allowed: true, Metadata: map[string]any{"rule": "rule of " + prefix}, Upstream: authz.Mutation{
					SetHeaders: []authz.Header{{Name: "x-path", Value: prefix}},
				}}, nil
			}
		}
		return authz.Decision{Reason: authz.PolicyDenied, Detail: "no rule"}, nil
	}
}

// lines are the records of paths, decided by a policy of revision r1.
func lines(t *testing.T, by decider, paths ...string) string {
	t.Helper()
	var out strings.Builder
	for i, path := range paths {
		r := &history.Record{Path: path}
		d, _ := by(r)
		line := map[string]any{
			"decision_id": fmt.Sprintf("d%03d", i), "timestamp": fmt.Sprintf("2026-11-24T03:%02d:00Z", i%60), "allowed": d.Allowed, "reason": "allowed",
			"revision": "r1", "entrypoint": "data.a.allow", "method": "GET", "host": "h", "path": path, "input": map[string]any{}, "complete": true,
			"tokens": map[string]any{"users": map[string]any{"status": "valid", "sub": "ann"}},
			"answer": map[string]any{"set_headers": []map[string]string{{"name": "x-path", "value": "/a"}, {"name": "x-user", "value": "ann"}}},
		}
		if !d.Allowed {
			line["reason"], line["status"], line["detail"] = "policy_denied", 403, d.Detail
			delete(line, "answer")
		}
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(append(text, '\n'))
	}
	return out.String()
}

func run(t *testing.T, text string, config replay.Config) (*replay.Result, error) {
	t.Helper()
	var err error
	if config.Log, err = history.Open(strings.NewReader(text), "-"); err != nil {
		t.Fatal(err)
	}
	return replay.Run(t.Context(), config)
}

func mustRun(t *testing.T, text string, config replay.Config) *replay.Result {
	t.Helper()
	r, err := run(t, text, config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// counts are those of a result, in a line.
func counts(r *replay.Result) string {
	return fmt.Sprintf("%d same, %d allowed, %d denied, %d changed, %d undecided", r.Same, r.NewlyAllowed, r.NewlyDenied, r.Changed, r.Undecided)
}

// TestChanges has changes of policy of which every difference is known.
func TestChanges(t *testing.T) {
	recorded := allows("/a")
	log := lines(t, recorded, "/a/1", "/a/2", "/b/3", "/b/4", "/b/5", "/c/6")
	headers := func(change func(*authz.Decision)) decider {
		return func(r *history.Record) (authz.Decision, error) {
			d, err := recorded(r)
			change(&d)
			return d, err
		}
	}
	for name, tt := range map[string]struct {
		candidate decider
		want      string
		first     string // the pattern and cause of the first group
	}{
		"none":                {recorded, "6 same, 0 allowed, 0 denied, 0 changed, 0 undecided", ""},
		"one route more":      {allows("/a", "/b"), "3 same, 3 allowed, 0 denied, 0 changed, 0 undecided", "GET /b/{} rule of /b"},
		"one route less":      {allows(), "4 same, 0 allowed, 2 denied, 0 changed, 0 undecided", "GET /a/{} "},
		"one for another":     {allows("/b"), "1 same, 3 allowed, 2 denied, 0 changed, 0 undecided", "GET /b/{} rule of /b"},
		"another header":      {headers(func(d *authz.Decision) { d.Upstream = authz.Mutation{} }), "4 same, 0 allowed, 0 denied, 2 changed, 0 undecided", "GET /a/{} request header x-path"},
		"another status":      {headers(func(d *authz.Decision) { d.Status = 404 }), "2 same, 0 allowed, 0 denied, 4 changed, 0 undecided", "GET /b/{} status"},
		"another reason only": {headers(func(d *authz.Decision) { d.Detail = "other words" }), "6 same, 0 allowed, 0 denied, 0 changed, 0 undecided", ""},
		"it fails": {func(*history.Record) (authz.Decision, error) {
			return authz.Decision{}, &authz.Error{Reason: authz.PolicyError, Err: errors.New("to_number failed")}
		}, "4 same, 0 allowed, 2 denied, 0 changed, 0 undecided", "GET /a/{} "},
		"it cannot tell": {func(r *history.Record) (authz.Decision, error) {
			if strings.HasPrefix(r.Path, "/b") {
				return authz.Decision{}, &replay.Undecided{Missing: []string{"input.x"}}
			}
			return recorded(r)
		}, "3 same, 0 allowed, 0 denied, 0 changed, 3 undecided", "GET /b/{} not recorded: input.x"},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustRun(t, log, replay.Config{Candidate: tt.candidate, Recorded: map[string]replay.Decider{"r1": recorded}})
			if got := counts(r); got != tt.want || r.Proof.Reproduced != 6 || r.Unfit != "" {
				t.Errorf("%s, want %s; %+v %s", got, tt.want, r.Proof, r.Unfit)
			}
			first := ""
			if len(r.Groups) > 0 {
				g := r.Groups[0]
				switch {
				case g.Undecided != nil:
					first = g.Pattern + " " + g.Undecided.Error()
				case len(g.Effects) > 0:
					first = g.Pattern + " " + g.Effects[0]
				default:
					first = g.Pattern + " " + g.After.Rule
				}
			}
			if first != tt.first {
				t.Errorf("first %q, want %q", first, tt.first)
			}
		})
	}
}

// TestWithoutProof compares with the record alone, which does not tell the tokens' headers from the policy's.
func TestWithoutProof(t *testing.T) {
	recorded := allows("/a")
	log := lines(t, recorded, "/a/1", "/b/2")
	for name, tt := range map[string]struct {
		candidate decider
		want      string
	}{
		"the same":       {recorded, "2 same, 0 allowed, 0 denied, 0 changed, 0 undecided"},
		"another value":  {allows("/a/1"), "1 same, 0 allowed, 0 denied, 1 changed, 0 undecided"},
		"newly allowed":  {allows("/"), "0 same, 1 allowed, 0 denied, 1 changed, 0 undecided"},
		"another denial": {func(*history.Record) (authz.Decision, error) { return authz.Decision{Status: 404}, nil }, "0 same, 0 allowed, 1 denied, 1 changed, 0 undecided"},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustRun(t, log, replay.Config{Candidate: tt.candidate})
			if got := counts(r); got != tt.want || r.Proof != nil {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// TestUnfit tampers with a log in each way that its own policy does not confirm.
func TestUnfit(t *testing.T) {
	recorded := allows("/a")
	log := lines(t, recorded, "/a/1", "/b/2")
	for name, tt := range map[string]struct{ old, new, want string }{
		"allowed":           {`"allowed":false`, `"allowed":true`, "recorded as allowed, decided again as denied"},
		"denied":            {`"allowed":true`, `"allowed":false`, "recorded as denied, decided again as allowed"},
		"a reason":          {`"reason":"policy_denied"`, `"reason":"policy_error"`, "the reason policy_error"},
		"a status":          {`"status":403`, `"status":404`, "status 404, decided again with 403"},
		"a header's value":  {`"value":"/a"`, `"value":"/b"`, "request headers x-path, decided again"},
		"a header's name":   {`"name":"x-path"`, `"name":"x-other"`, "request headers (none), decided again with other ones: x-path"},
		"what it was about": {`"path":"/a/1"`, `"path":"/b/1"`, "recorded as allowed, decided again as denied"},
		"another revision":  {`"revision":"r1"`, `"revision":"r2"`, "no record is of the recorded policy's revision"},
	} {
		t.Run(name, func(t *testing.T) {
			tampered := strings.ReplaceAll(log, tt.old, tt.new)
			if tampered == log {
				t.Fatal("nothing was changed")
			}
			r := mustRun(t, tampered, replay.Config{Candidate: allows("/"), Recorded: map[string]replay.Decider{"r1": recorded}})
			why := r.Unfit
			if len(r.Proof.First) > 0 {
				why = r.Proof.First[0].What
			}
			if r.Unfit == "" || !strings.Contains(why, tt.want) || len(r.Groups) > 0 || r.NewlyAllowed > 0 {
				t.Errorf("%q, want %q; %s, %d groups", why, tt.want, counts(r), len(r.Groups))
			}
			if text := r.Document(0); !strings.Contains(text.Title, "unfit") || len(text.Sections) != 1 {
				t.Errorf("%+v", text)
			}
		})
	}
}

// TestApart has what no policy decided, and records of which the proof says nothing.
func TestApart(t *testing.T) {
	recorded := allows("/a")
	log := lines(t, recorded, "/a/1", "/b/2", "/b/3", "/b/4", "/b/5")
	log = strings.Replace(log, `"complete":true,"decision_id":"d001"`, `"decision_id":"d001"`, 1)
	log = strings.Replace(log, `"path":"/b/3","reason":"policy_denied"`, `"path":"/b/3","reason":"timeout"`, 1)
	log = strings.Replace(log, `"path":"/b/4","reason":"policy_denied","revision":"r1"`, `"path":"/b/4","reason":"policy_denied","revision":"r0"`, 1)
	masked := func(r *history.Record) (authz.Decision, error) {
		if r.Path == "/b/5" {
			return authz.Decision{}, &replay.Undecided{Masked: []string{"input.x"}}
		}
		return recorded(r)
	}
	r := mustRun(t, log, replay.Config{Candidate: recorded, Recorded: map[string]replay.Decider{"r1": decider(masked)}})
	if got := counts(r); got != "3 same, 0 allowed, 0 denied, 0 changed, 0 undecided" {
		t.Error(got)
	}
	if diff := cmp.Diff(map[authz.Reason]int64{"policy_denied": 1, "timeout": 1}, r.Apart); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]replay.Revision{{Revision: "r1", Decisions: 2, Covered: true}, {Revision: "r0", Decisions: 1}}, r.Revisions); diff != "" {
		t.Error(diff)
	}
	if r.Proof.Reproduced != 1 || r.Proof.Unproved != 1 || r.Unfit != "" {
		t.Errorf("%+v %s", r.Proof, r.Unfit)
	}
}

// TestErrors ends with what is no decision, and names the place.
func TestErrors(t *testing.T) {
	broken := decider(func(*history.Record) (authz.Decision, error) { return authz.Decision{}, errors.New("broken") })
	log := lines(t, allows(), "/a/1")
	for name, config := range map[string]replay.Config{
		"the candidate":       {Candidate: broken},
		"the recorded policy": {Candidate: allows(), Recorded: map[string]replay.Decider{"r1": broken}},
		"a cancelled one": {Candidate: decider(func(*history.Record) (authz.Decision, error) {
			return authz.Decision{}, &authz.Error{Reason: authz.Timeout, Err: errors.New("broken")}
		})},
	} {
		if _, err := run(t, log, config); err == nil || err.Error() != "-:1: broken" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRotated replays a log of several files, compressed ones too, whoever of the workers gets what.
func TestRotated(t *testing.T) {
	dir := t.TempDir()
	recorded := allows("/a")
	paths := make([]string, 3000)
	for i := range paths {
		paths[i] = fmt.Sprintf("/%c/%d", 'a'+i%3, i)
	}
	text := lines(t, recorded, paths...)
	half := strings.Index(text[len(text)/2:], "\n") + len(text)/2 + 1
	packed, err := os.Create(filepath.Join(dir, "decisions-20261124T023531.1Z.ndjson.gz"))
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(packed)
	if _, err := z.Write([]byte(text[:half])); err != nil || z.Close() != nil || packed.Close() != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "decisions.ndjson"), []byte(text[half:]+`{"decision_id":"torn`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, workers := range []int{1, 3} {
		log, err := history.Open(nil, dir)
		if err != nil {
			t.Fatal(err)
		}
		r, err := replay.Run(t.Context(), replay.Config{Log: log, Workers: workers, Candidate: allows("/a", "/b"), Recorded: map[string]replay.Decider{"r1": recorded}})
		if err != nil || r.Decisions != 3000 || r.NewlyAllowed != 1000 || r.Proof.Reproduced != 3000 || r.Torn != 1 {
			t.Fatalf("%d workers: %+v, %v", workers, r, err)
		}
		if len(r.Groups) != 1 || r.Groups[0].Count != 1000 || r.Groups[0].Sample.ID != "d001" {
			t.Errorf("%d workers: %+v", workers, r.Groups)
		}
	}
}

// TestGroupsAreBounded has more groups than are kept apart.
func TestGroupsAreBounded(t *testing.T) {
	paths := make([]string, 200)
	for i := range paths {
		paths[i] = "/b/" + strings.Repeat("x", i+1)
	}
	r := mustRun(t, lines(t, allows(), paths...), replay.Config{Candidate: allows("/b"), MaxGroups: 50})
	if r.NewlyAllowed != 200 || len(r.Groups) != 50 || r.Beyond[authz.NewlyAllowed] != 150 {
		t.Errorf("%s, %d groups, %v beyond", counts(r), len(r.Groups), r.Beyond)
	}
	section := r.Document(10).Sections[0]
	if len(section.Rows) != 10 || section.Title != "Newly allowed: 200" || !strings.Contains(section.Note, "190 more decisions") {
		t.Errorf("%d rows, %q, %q", len(section.Rows), section.Title, section.Note)
	}
}

// TestJSON holds the form that programs read.
func TestJSON(t *testing.T) {
	recorded := allows("/a")
	r := mustRun(t, lines(t, recorded, "/a/1", "/b/2"), replay.Config{Candidate: allows("/b"), Recorded: map[string]replay.Decider{"r1": recorded}})
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"version":1,"decisions":2,"replayed":2,"apart":{},"first":"2026-11-24T03:00:00Z","last":"2026-11-24T03:01:00Z",` +
		`"revisions":[{"revision":"r1","decisions":2,"covered":true}],"torn":0,"proof":{"revisions":["r1"],"reproduced":2,"unproved":0,"differing":0,"first":[]},` +
		`"same":0,"newly_allowed":1,"newly_denied":1,"changed":0,"undecided":0,"groups":[` +
		`{"verdict":"newly_allowed","pattern":"GET /b/{}","principal":"users:ann","before":{"reason":"policy_denied","status":403},"after":{"reason":"allowed","rule":"rule of /b"},` +
		`"count":1,"share":0.5,"sample":{"decision_id":"d001","timestamp":"2026-11-24T03:01:00Z","method":"GET","host":"h","path":"/b/2","principal":"users:ann","detail_before":"no rule","detail_after":""}},` +
		`{"verdict":"newly_denied","pattern":"GET /a/{}","principal":"users:ann","before":{"reason":"allowed"},"after":{"reason":"policy_denied","status":403},` +
		`"count":1,"share":0.5,"sample":{"decision_id":"d000","timestamp":"2026-11-24T03:00:00Z","method":"GET","host":"h","path":"/a/1","principal":"users:ann","detail_before":"","detail_after":"no rule"}}]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
