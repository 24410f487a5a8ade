package browser_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport/pkg/report"
)

// A tab is a page, opened. What it logs or asks a network for fails the test.
type tab struct {
	*testing.T
	ctx context.Context //nolint:containedctx // it is the tab: chromedp keeps it there
}

func open(t *testing.T, document *report.Document) tab {
	t.Helper()
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		t.Skip("CHROMIUM is not set: the pages are NOT opened in a browser")
	}
	file := filepath.Join(t.TempDir(), "page.html")
	page, err := os.Create(file)
	if err == nil {
		err = document.WriteHTML(page)
	}
	if err != nil || page.Close() != nil {
		t.Fatal(err)
	}
	// As root there is no sandbox; the page is ours.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(cancel)
	b := tab{t, ctx}
	b.listen("file://" + file)
	b.do(chromedp.Navigate("file://"+file), chromedp.WaitReady("#shown"))
	return b
}

// listen fails the test at its end for what the page threw, logged, was forbidden or asked for.
func (b tab) listen(address string) {
	b.Helper()
	var mu sync.Mutex
	var trouble []string
	err := chromedp.Listen(b.ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			trouble = append(trouble, "exception: "+e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			trouble = append(trouble, "writes to the console")
		case *log.EventEntryAdded:
			trouble = append(trouble, "the browser says: "+e.Entry.Text)
		case *network.EventRequestWillBeSent:
			if e.Request.URL != address {
				trouble = append(trouble, "asks for "+e.Request.URL)
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, line := range trouble {
			b.Error(line)
		}
	})
	_, err1 := chromedp.Call(b.ctx, network.Enable, network.EnableParams{})
	_, err2 := chromedp.Call(b.ctx, log.Enable, cdp.Empty{})
	_, err3 := chromedp.Call(b.ctx, runtime.Enable, cdp.Empty{})
	if err := errors.Join(err1, err2, err3); err != nil {
		b.Fatal(err)
	}
}

func (b tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// press types into whatever has the focus.
func (b tab) press(keys ...string) {
	b.Helper()
	for _, key := range keys {
		b.do(chromedp.KeyEvent(key))
	}
}

// want evaluates an expression in the page.
func (b tab) want(expression, want string) {
	b.Helper()
	if got := b.evaluate(expression); got != want {
		b.Errorf("%s is %q, want %q", expression, got, want)
	}
}

func (b tab) evaluate(expression string) string {
	b.Helper()
	got, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		b.Fatal(err)
	}
	return got
}

func document() *report.Document {
	d := &report.Document{
		Title: "Gaps", Lead: "</script><b>not bold</b>",
		Facts: []report.Fact{{Name: "decisions", Value: "1,204", Tone: report.Good}},
		Sections: []report.Section{{
			Title: "Who reaches what",
			Matrix: &report.Matrix{
				Down: "principal", Across: "route", Rows: []string{"alice", "bob"}, Columns: []string{"GET /admin/**", "GET /"},
				Cells: [][]report.Cell{
					{{Text: "7", Title: "seven allowed", Tone: report.Danger}, {Text: "1", Tone: report.Good}}, {{}, {Text: "2", Title: "two", Tone: report.Warning}},
				},
			},
		}, {
			Title: "Findings", Columns: []report.Column{{Name: "route"}, {Name: "count", Right: true}},
			Rows: []report.Row{
				{Tone: report.Warning, Cells: []string{"GET /orders", "9"}, Detail: "a sample"},
				{Tone: report.Danger, Cells: []string{"GET /admin", "1,000"}, Detail: "another"},
				{Tone: report.Good, Cells: []string{"GET /zebra", "10"}},
				{Tone: report.Muted, Cells: []string{"GET /zebra/quiet", "3"}},
			},
		}},
	}
	return d
}

const visible = `[...document.querySelectorAll(".rows > tbody")].filter(b => b.offsetParent).map(b => b.rows[0].cells[0].textContent).join()`

func TestByKeyboard(t *testing.T) {
	b := open(t, document())
	b.want(visible, "GET /orders,GET /admin,GET /zebra,GET /zebra/quiet")
	b.want(`document.querySelector(".lead").textContent`, "</script><b>not bold</b>")

	b.press("/", "z", "e", "b", "r", "a", " ", "-", "q", "u", "i", "e", "t")
	b.want(visible, "GET /zebra")
	b.want(`document.getElementById("shown").value`, "1 of 6")
	b.press(kb.Escape)
	b.want(`document.getElementById("shown").value`, "6 of 6")

	b.press(kb.Tab) // from the filter into the matrix
	b.want(`document.activeElement.title`, "alice · GET /admin/**: seven allowed")
	b.press(kb.ArrowRight, kb.ArrowDown, kb.ArrowDown, kb.ArrowRight) // the last two lead nowhere
	b.want(`document.querySelector(".spoken").textContent`, "bob · GET /: two")

	b.press(kb.Tab, kb.Enter) // the heading of the first column
	b.want(visible, "GET /admin,GET /orders,GET /zebra,GET /zebra/quiet")
	b.press(kb.Tab, kb.Enter) // the second, by figures
	b.want(visible, "GET /admin,GET /zebra,GET /orders,GET /zebra/quiet")
	b.press(kb.Enter)
	b.want(visible, "GET /zebra/quiet,GET /orders,GET /zebra,GET /admin")
	b.want(`document.querySelector("th[aria-sort]").getAttribute("aria-sort")`, "descending")

	b.press(kb.Tab, kb.Enter) // "more" of the first row that has it
	b.want(`document.querySelector("details[open] pre").textContent`, "a sample")
}

// contrast is the least of all texts against what is behind them (WCAG 2.2, section 1.4.3). Colours are
// read from a canvas, since a browser may tell them in any of its notations.
const contrast = `(() => {
  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const seen = (...colours) => {
    for (const colour of colours) { pixel.fillStyle = colour; pixel.fillRect(0, 0, 1, 1); }
    return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const page = getComputedStyle(document.body).backgroundColor;
  let least = 21, where = "";
  for (const element of document.querySelectorAll("h1, p, dt, dd, td, th, button, summary, pre")) {
    const style = getComputedStyle(element);
    const [a, b] = [light(seen(page, style.backgroundColor)), light(seen(page, style.backgroundColor, style.color))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < least) { least = ratio; where = element.outerHTML.slice(0, 80); }
  }
  return least >= 4.5 ? "enough" : least.toFixed(2) + " at " + where;
})()`

func TestInTheDarkAndTheLight(t *testing.T) {
	b := open(t, document())
	backgrounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
			t.Fatal(err)
		}
		backgrounds[b.evaluate(`getComputedStyle(document.body).backgroundColor`)] = true
		b.want(contrast, "enough")
	}
	if len(backgrounds) != 2 {
		t.Errorf("the same background in the dark: %v", backgrounds)
	}
}

// TestManyRows has a page of the size that a long log makes.
func TestManyRows(t *testing.T) {
	d := document()
	for i := range 5000 {
		d.Sections[1].Rows = append(d.Sections[1].Rows, report.Row{Cells: []string{fmt.Sprintf("GET /route/%d", i), "1"}, Detail: strings.Repeat("x", 200)})
	}
	b := open(t, d)
	b.press("/", "4", "9", "9", "9") // matches "/4999", too: the protocol types a key that focuses into what it focuses
	b.want(visible, "GET /route/4999")
}
