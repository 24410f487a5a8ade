package browser_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/gaps"
	"github.com/sallyport/sallyport/pkg/report"
)

// gapsDocument is what "sallyport gaps" found in a few records: ann and bob use /orders, bob is denied
// /admin, and cleo, who never asked for it, could reach /orders too.
func gapsDocument(t *testing.T) *report.Document {
	t.Helper()
	finder := gaps.New(gaps.Config{Policy: &gaps.Policy{
		Allows: func(_ context.Context, _ time.Time, req *authz.Request, id authz.Identity) bool {
			return id.Authenticated() && req.HTTP.Path.Segments[0] != "admin"
		},
	}})
	n := 0
	add := func(who, path string, allowed bool) {
		n++
		r := &history.Record{
			ID: fmt.Sprintf("d%d", n), Time: time.Unix(int64(n), 0), Allowed: allowed, Reason: authz.PolicyDenied, Entrypoint: "data.envoy.authz.allow",
			Rule: "routes[0]", Route: path, Method: "GET", Path: path, Source: history.Peer{Address: "10.0.0.1"},
			Tokens: map[string]history.Token{"users": {Status: authz.TokenValid, Subject: who, Algorithm: "HS256"}},
		}
		finder.Add(r)
	}
	for range 3 {
		add("ann", "/orders", true)
	}
	add("bob", "/orders", true)
	add("bob", "/admin", false)
	add("bob", "/admin", false)
	add("cleo", "/<b>stock</b>", true)
	found, err := finder.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found.Document(0)
}

// TestTheMatrixOfGaps walks the matrix by keyboard, and looks at it in the dark and the light.
func TestTheMatrixOfGaps(t *testing.T) {
	b := open(t, gapsDocument(t))
	b.want(`[...document.querySelectorAll(".matrix tbody tr")].map(r => [...r.cells].map(c => c.textContent).join("|")).join()`,
		"users:ann|3||○,users:bob|1|×2|○,users:cleo|○||1")

	b.do(chromedp.Focus(".matrix td[tabindex='0']"))
	for _, step := range []struct{ key, says string }{
		{"", "users:ann · GET /orders: 3 allowed"},
		{kb.ArrowDown, "users:bob · GET /orders: 1 allowed"},
		{kb.ArrowRight, "users:bob · GET /admin: 2 denied"},
		{kb.ArrowRight, "users:bob · GET /<b>stock</b>: never asked for; the policy at hand would allow it"},
	} {
		if step.key != "" {
			b.press(step.key)
			b.want(`document.querySelector(".spoken").textContent`, step.says)
		}
		b.want(`document.activeElement.title`, step.says)
	}

	for _, scheme := range []string{"light", "dark"} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		b.want(contrast, "enough")
		// Allowed, denied and unused are told apart by colour too.
		b.want(`new Set(["good", "danger", "warning"].map(tone => getComputedStyle(document.querySelector(".matrix td." + tone)).backgroundColor)).size`, "3")
	}

	b.do(chromedp.Focus("#filter"))
	b.press("w", "e", "a", "k")
	b.want(`[...document.querySelectorAll(".rows > tbody")].filter(b => b.offsetParent).map(b => b.rows[0].cells[1].textContent).join()`, "weak algorithm")
}
