package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/pkg/authz"
)

// printTour shows the visits as a table, or, where the terminal is narrower than that, as blocks.
func printTour(out io.Writer, visits []visit) {
	var table strings.Builder
	columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(columns, "ASKED\tBY\tSTATUS\tWHY\tUPSTREAM RECEIVED\tTOOK\tTRACE")
	for _, v := range visits {
		fmt.Fprintf(columns, "%s %s\t%s\t%d\t%s\t%s\t%s\t%s\n",
			v.method, v.path, v.what, v.status, v.why(), v.received(), took(v.observation.record), v.observation.traceID)
	}
	columns.Flush()
	fmt.Fprintln(out)
	if width := terminalWidth(out); width == 0 || widest(table.String()) <= width {
		fmt.Fprint(out, table.String())
		return
	}
	for _, v := range visits {
		fmt.Fprintf(out, "%d  %s %s  (%s)\n     why       %s\n     upstream  %s\n     took      %s, trace %s\n",
			v.status, v.method, v.path, v.what, v.why(), v.received(), took(v.observation.record), v.observation.traceID)
	}
}

// why is what an operator is told: the reason, what the policy or the error adds to it, and, in
// the demo alone, that this was not expected.
func (v visit) why() string {
	text := why(v.observation.record)
	if mistake := v.mistake(); mistake != "" {
		text += " *** " + mistake
	}
	return text
}

func why(record *authz.Record) string {
	d := record.Decision
	if d.Detail == "" {
		return string(d.Reason)
	}
	return string(d.Reason) + ": " + strings.ReplaceAll(d.Detail, "\n", " ")
}

func (v visit) received() string {
	switch {
	case v.upstream == nil:
		return "-"
	case v.upstream.Headers.Get("X-User") == "":
		return "no x-user, no token"
	}
	return "x-user: " + v.upstream.Headers.Get("X-User")
}

func took(record *authz.Record) string {
	return fmt.Sprintf("%.2f ms", float64(record.Duration.Microseconds())/1000)
}

func widest(text string) int {
	width := 0
	for line := range strings.Lines(text) {
		width = max(width, utf8.RuneCountInString(strings.TrimRight(line, "\n")))
	}
	return width
}

// terminalWidth is 0 where out is no terminal.
func terminalWidth(out io.Writer) int {
	file, ok := out.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// stay prints what to try, and each decision as it comes, until ctx ends.
func (w *world) stay(ctx context.Context, out io.Writer) error {
	if w.client.Transport != nil {
		fmt.Fprintln(out, "Without Envoy there is nothing more to ask.")
		return nil
	}
	t, err := w.tokens()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, `
Try it yourself, in another terminal (the tokens are good for an hour):

  ALICE=%s
  BOB=%s
  CHECKOUT=%s

  curl -i %[4]s/public/news
  curl -i %[4]s/orders
  curl -i %[4]s/orders -H "Authorization: Bearer $ALICE"
  curl -i %[4]s/admin/users -H "Authorization: Bearer $BOB"
  curl -i %[4]s/payments/42 -X POST -H "Authorization: Bearer $ALICE" -H "X-Workload-Token: $CHECKOUT"
  curl -i %[4]s/orders -H "Authorization: Bearer $ALICE" --json '{"amount": 5000}'

Decisions, as they come (Ctrl-C ends):

`, t.alice, t.admin, t.workload, w.url)
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-w.decisions:
			printDecision(out, o)
		}
	}
}

func printDecision(out io.Writer, o observation) {
	verdict := "deny "
	if o.record.Decision.Allowed {
		verdict = "allow"
	}
	asked := "connection"
	if http := o.record.Request.HTTP; http != nil {
		path, _, _ := strings.Cut(http.Path.Raw, "?")
		asked = http.Method + " " + path
	}
	fmt.Fprintf(out, "  %s  %s  %s  %s  %s  trace %s\n",
		o.record.Time.Format("15:04:05"), verdict, asked, why(o.record), took(o.record), o.traceID)
}
