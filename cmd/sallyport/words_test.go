package main

import (
	"testing"
	"time"
)

func TestInWords(t *testing.T) {
	const day = 24 * time.Hour
	for want, d := range map[string]time.Duration{
		"less than a second": 999 * time.Millisecond,
		"1 second":           time.Second,
		"59 seconds":         -59 * time.Second,
		"3 minutes":          3 * time.Minute,
		"1 minute 1 second":  61 * time.Second,
		"1 hour":             time.Hour + 59*time.Second,
		"1 hour 5 minutes":   65*time.Minute + 7*time.Second,
		"2 days 1 hour":      49*time.Hour + time.Minute,
		"1 year 1 day":       366 * day,
	} {
		if got := inWords(d); got != want {
			t.Errorf("%s: got %q, want %q", d, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"Zoë \"a\"":          "Zoë \"a\"",
		"\x1b[31m":           `\u001b[31m`,
		"a\u009bb\u202ec":    `a\u009bb\u202ec`,
		"tag \U000e0041":     `tag \U000e0041`,
		"line\nbreak\ttab\r": `line\u000abreak\u0009tab\u000d`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
