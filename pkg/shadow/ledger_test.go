package shadow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/shadow"
)

// Sums are of one pair of revisions: another begins anew, and what an old one decided is left out.
func TestRevisions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revision := "new"
		answered := func() string { return revision }
		b := start(t, func(context.Context, time.Time, *authz.Request, authz.Identity) (authz.Decision, error) {
			return authz.Decision{Revision: answered(), Allowed: true}, nil
		}, func(c *shadow.Config) { c.Revisions = func() (string, string) { return "old", revision } })
		b.hear(t, live("1", authz.Decision{}), live("2", authz.Decision{}))
		synctest.Wait()
		if r := b.Report(); r.Compared != 2 || r.Unlike != 2 {
			t.Errorf("at first %+v", r)
		}
		revision = "newer"
		if r := b.Report(); r.Compared != 0 || r.Candidate != "newer" || len(r.Groups) != 0 {
			t.Errorf("of another revision %+v", r)
		}
		stale := live("3", authz.Decision{})
		stale.Decision.Revision = "older"
		b.hear(t, stale, live("4", authz.Decision{}))
		synctest.Wait()
		if r := b.Report(); r.Compared != 1 || r.Groups[0].Sample != "4" {
			t.Errorf("then %+v", r)
		}
		answered = func() string { return "new" } // by a candidate that changed meanwhile
		b.hear(t, live("5", authz.Decision{}))
		synctest.Wait()
		if r := b.Report(); r.Compared != 1 {
			t.Errorf("what another revision answered is compared: %+v", r)
		}
	})
}

func TestMissing(t *testing.T) {
	limits := shadow.Limits{Decisions: 100, Differences: 2}
	for name, tc := range map[string]struct {
		report shadow.Report
		want   string
	}{
		"too few":             {shadow.Report{Compared: 99}, "99 of 100 decisions were compared"},
		"enough":              {shadow.Report{Compared: 100, Unlike: 2}, ""},
		"too many differ":     {shadow.Report{Compared: 200, Unlike: 3}, "3 of 200 decisions differ or failed, at most 2 may"},
		"before there enough": {shadow.Report{Compared: 10, Unlike: 3}, "3 of 10 decisions differ or failed, at most 2 may"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.report.Missing(limits); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

// Who asks for many paths fills neither the memory nor the groups of another verdict, and no group
// shows a credential.
func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(_ context.Context, _ time.Time, req *authz.Request, _ authz.Identity) (authz.Decision, error) {
			allowed := strings.HasPrefix(req.HTTP.Path.Raw, "/admin")
			return authz.Decision{Revision: "new", Allowed: allowed, Metadata: map[string]any{"rule": "r"}}, nil
		}, func(c *shadow.Config) { c.MaxBytes = 1 << 30 })
		at := func(id, path string, d authz.Decision) *authz.Record {
			record := live(id, d)
			record.Request.HTTP.Path.Raw = path
			return record
		}
		for i := range 500 {
			b.hear(t, at("1", fmt.Sprintf("/p%d/x", max(0, i-9)), authz.Decision{Allowed: true})) // ten of the first
		}
		secret := "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlc2lnbmF0dXJl"
		b.hear(t, at("2", "/admin/users?token=x", authz.Decision{}), at("3", "/admin/keys", authz.Decision{}), at("4", "/admin"+secret, authz.Decision{}))
		synctest.Wait()
		r := b.Report()
		if len(r.Groups) != 64+2 || r.Ungrouped != 500-9-64 || r.Unlike != 503 {
			t.Fatalf("%d groups, %d in none, %d unlike", len(r.Groups), r.Ungrouped, r.Unlike)
		}
		want := shadow.Group{Verdict: authz.NewlyAllowed, Route: "GET /admin/…", Rule: "r", Before: authz.PolicyDenied, After: authz.Allowed, Count: 2, Sample: "3"}
		got := r.Groups[0]
		got.Last = time.Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the first group (-want +got):\n%s", diff)
		}
		if text := fmt.Sprint(r.Groups); strings.Contains(text, "eyJ") {
			t.Errorf("a token is in %s", text)
		}
	})
}
