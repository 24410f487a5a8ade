package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func newTokenInspect() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Show what a token says, without verifying it",
		Long: `Show the header and the claims of a token, and its times in words. NOTHING IS VERIFIED: anyone can
write such a token. "sallyport token verify" verifies one.

The token comes from standard input or from --file. Its signature is never shown, so that what is
shown is no credential.`,
		Example: `  sallyport token inspect < token.txt
  pbpaste | sallyport token inspect`,
		Args: usage(noToken),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := readToken(cmd, file)
			if err != nil {
				return err
			}
			return inspectToken(cmd.OutOrStdout(), text, time.Now())
		},
	}
	addTokenFlag(cmd, &file)
	return cmd
}

// inspect shows as much of a token as can be read.
func inspectToken(out io.Writer, text string, now time.Time) error {
	segments := strings.Split(text, ".")
	if len(segments) != 3 && len(segments) != 5 {
		return fmt.Errorf("no token: a signed one has 3 segments between dots, an encrypted one 5, and this has %d", len(segments))
	}
	fmt.Fprintln(out, "NOT VERIFIED: anyone can write a token that says this.")
	header, err := members(segments[0])
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	table(out, "Header", header)
	if len(segments) == 5 {
		fmt.Fprintln(out, "\nThe rest is encrypted (JWE). Sallyport decrypts no tokens.")
		return nil
	}
	claims, err := members(segments[1])
	if err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	table(out, "Claims", claims)
	table(out, "Times", times(claims, now))
	fmt.Fprintf(out, "\nThe signature has %d characters and is not shown.\n", len(segments[2]))
	return nil
}

// A member is a name and a value of a JSON object.
type member struct{ name, value string }

// members reads a segment that is a JSON object, in its order and with names that come twice.
func members(segment string) ([]member, error) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(segment, "="))
	if err != nil {
		return nil, errors.New("not base64url")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	var all []member
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, errors.New("not JSON")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errors.New("not JSON")
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			return nil, errors.New("not JSON")
		}
		all = append(all, member{fmt.Sprint(name), compact.String()})
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errors.New("not JSON")
	}
	return all, nil
}

// times tells the dates among the claims in words.
func times(claims []member, now time.Time) []member {
	dates := make(map[string]time.Time)
	var told []member
	for _, c := range claims {
		words, isDate := dateWords()[c.name]
		if !isDate {
			continue
		}
		date, ok := readDate(c.value)
		if !ok {
			told = append(told, member{c.name, "not a date"})
			continue
		}
		dates[c.name] = date
		told = append(told, member{c.name, date.UTC().Format(time.RFC3339) + "  " + words(date.Sub(now))})
	}
	issued, expires := dates["iat"], dates["exp"]
	switch {
	case expires.IsZero():
		told = append(told, member{"exp", "none: it would be good for ever, and Sallyport refuses it"})
	case !issued.IsZero() && expires.After(issued):
		told = append(told, member{"lifetime", inWords(expires.Sub(issued))})
	}
	return told
}

// dateWords tell a date by how far it lies ahead.
func dateWords() map[string]func(time.Duration) string {
	past := func(before, after string) func(time.Duration) string {
		return func(ahead time.Duration) string {
			if ahead > 0 {
				return fmt.Sprintf(after, inWords(ahead))
			}
			return fmt.Sprintf(before, inWords(ahead))
		}
	}
	return map[string]func(time.Duration) string{
		"iat":       past("issued %s ago", "issued in %s: the issuer's clock or this one is wrong"),
		"nbf":       past("good since %s ago", "not good before %s from now"),
		"exp":       past("expired %s ago", "expires in %s"),
		"auth_time": past("the user logged in %s ago", "the user logs in in %s: a clock is wrong"),
	}
}

// readDate reads a NumericDate (RFC 7519, section 2) up to the year 9999.
func readDate(value string) (time.Time, bool) {
	seconds, err := json.Number(value).Float64()
	if err != nil || seconds < 0 || seconds >= 253402300800 {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// table writes members below a title, aligned.
func table(out io.Writer, title string, rows []member) {
	fmt.Fprintf(out, "\n%s\n", title)
	columns := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(columns, "  %s\t%s\n", printable(row.name), printable(row.value))
	}
	columns.Flush()
}
