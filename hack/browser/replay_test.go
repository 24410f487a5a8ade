package browser_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/replay"
)

// A closing is a candidate that allows under /admin, and nothing else.
type closing struct{}

func (closing) Again(_ context.Context, r *history.Record) (authz.Decision, error) {
	return authz.Decision{Allowed: strings.HasPrefix(r.Path, "/admin")}, nil
}

// TestReplay opens what a replay found, filters it, and opens a sample.
func TestReplay(t *testing.T) {
	var lines strings.Builder
	for i, path := range []string{"/admin", "/orders/7", "/orders/8", "/public"} {
		fmt.Fprintf(&lines, `{"decision_id":"id-%d","timestamp":"2026-11-24T03:33:12Z","allowed":%v,"reason":"%s","entrypoint":"data.a.allow","method":"GET","path":"%s","input":{},"complete":true}`+"\n",
			i, i > 0, map[bool]string{true: "allowed", false: "policy_denied"}[i > 0], path)
	}
	log, err := history.Open(strings.NewReader(lines.String()), "-")
	if err != nil {
		t.Fatal(err)
	}
	result, err := replay.Run(t.Context(), replay.Config{Log: log, Candidate: closing{}})
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, result.Document(0))
	b.want(visible, "GET /admin,GET /orders/{},GET /public")
	b.want(`[...document.querySelectorAll("h2")].map(h => h.textContent).join()`, "Newly allowed: 1,Newly denied: 3")
	b.press("/", "o", "r", "d", "e", "r", "s")
	b.want(visible, "GET /orders/{}")
	b.press(kb.Escape)
	b.want(`(document.querySelector("details summary").focus(), document.activeElement.tagName)`, "SUMMARY")
	b.press(kb.Enter)
	b.want(`document.querySelector("details[open] pre").textContent.includes("more:   sallyport why id-0")`, "true")
	b.want(contrast, "enough")
}
