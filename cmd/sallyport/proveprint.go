package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sallyport/sallyport/pkg/policy/prove"
)

// print writes a verdict and its ground. width is that of the terminal, 0 where there is none.
func (p *proof) print(out io.Writer, width int, colour bool) { //nolint:revive // colour is the terminal's
	inks := map[prove.Verdict]string{prove.Proved: "\x1b[32m", prove.Counterexample: "\x1b[31m", prove.Unknown: "\x1b[33m"}
	verdict := string(p.Verdict)
	if colour {
		verdict = inks[p.Verdict] + verdict + "\x1b[0m"
	}
	fmt.Fprintf(out, "%s  %s\n", verdict, printable(p.title()))
	for _, line := range p.ground() {
		for _, part := range folded(line, width-2) {
			fmt.Fprintf(out, "  %s\n", part)
		}
	}
	if p.Example == nil {
		return
	}
	fmt.Fprintln(out, "\ncases:")
	fmt.Fprint(out, p.Case)
	if p.Curl != "" {
		fmt.Fprintf(out, "\n%s\n", p.Curl)
	}
	fmt.Fprintln(out, "\nrules that fired:")
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range p.Rules {
		fmt.Fprintf(columns, "  %s\t%s:%d\n", r.Name, r.File, r.Line)
	}
	columns.Flush()
}

func (p *proof) title() string {
	if p.Note != "" {
		return p.Note
	}
	return "never: " + strings.Join(strings.Fields(p.Never), " ")
}

// ground are the lines that say what the verdict rests on.
func (p *proof) ground() []string {
	var out []string
	switch p.Verdict {
	case prove.Proved:
		out = append(out, "no request is allowed for which the condition holds")
	case prove.Counterexample:
		out = append(out, "this request is allowed, and the condition holds for it; the policy was asked")
	case prove.Unknown:
		for _, o := range p.Obstacles {
			out = append(out, "in the way: "+obstacle(o))
		}
	}
	slots := strings.Join(p.Slots, ", ")
	if slots == "" {
		slots = "none"
	}
	return append(out, fmt.Sprintf("%s; token slots: %s; %s in %v",
		p.Entrypoint, slots, count(int64(p.Cases), "case"), p.Took.Round(time.Millisecond)))
}

func obstacle(o prove.Obstacle) string {
	text := o.Why
	if o.Text != "" {
		text = o.Text + " (" + o.Why + ")"
	}
	if o.File != "" {
		text = fmt.Sprintf("%s:%d: %s", o.File, o.Line, text)
	}
	return printable(text)
}

// folded breaks a line where a terminal ends.
func folded(line string, width int) []string {
	const least = 20
	if width < least || len(line) <= width {
		return []string{line}
	}
	at := strings.LastIndex(line[:width], " ")
	if at <= 0 {
		return []string{line}
	}
	return append([]string{line[:at]}, folded(line[at+1:], width)...)
}

// curlLine is a request as a command; where a token is needed, a variable stands for it, in the header that
// carries it. "" for a connection without HTTP.
func curlLine(e *prove.Example, carriers map[string]string) string {
	r := e.Request
	if r.Network {
		return ""
	}
	line := []string{"curl --path-as-is"}
	add := func(option, value string) { line = append(line, option+" "+quoted(value)) }
	if r.Method != "" && r.Method != http.MethodGet {
		add("-X", r.Method)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		add("-H", name+": "+r.Headers[name])
	}
	for _, slot := range slices.Sorted(maps.Keys(e.Tokens)) {
		if e.Tokens[slot] != nil {
			line = append(line, fmt.Sprintf(`-H "%s$%s"`, orElse(carriers[slot], "Authorization: Bearer "), strings.ToUpper(slot)))
		}
	}
	if r.JSON != nil {
		if raw, err := json.Marshal(r.JSON); err == nil {
			add("--json", string(raw))
		}
	}
	line = append(line, quoted(orElse(r.Scheme, "http")+"://"+orElse(r.Host, "localhost")+r.Path))
	return strings.Join(line, " ")
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// quoted is a word of a shell (POSIX.1, section 2.2.2).
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
