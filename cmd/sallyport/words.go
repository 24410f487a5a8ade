package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// units are those that people tell spans of time in.
func units() []unit {
	const day = 24 * time.Hour
	return []unit{{365 * day, "year"}, {day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}}
}

type unit struct {
	length time.Duration
	name   string
}

// inWords tells a time without its sign, as in "1 hour 5 minutes": two units at most, the rest cut off.
func inWords(d time.Duration) string {
	d = d.Abs()
	var words []string
	for _, u := range units() {
		n := d / u.length
		d %= u.length
		if n > 0 {
			words = append(words, count(int64(n), u.name))
		}
		if len(words) == 2 || len(words) == 1 && n == 0 {
			break
		}
	}
	if len(words) == 0 {
		return "less than a second"
	}
	return strings.Join(words, " ")
}

func count(n int64, name string) string {
	if n == 1 {
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", n, name)
}

// printable writes what a terminal would obey, or people would not see, as JSON escapes it.
func printable(text string) string {
	var safe strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsPrint(r):
			safe.WriteRune(r)
		case r <= 0xffff:
			fmt.Fprintf(&safe, `\u%04x`, r)
		default:
			fmt.Fprintf(&safe, `\U%08x`, r)
		}
	}
	return safe.String()
}
