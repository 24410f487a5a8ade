package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of a JSON text. Real tokens stay far below them; they bound what a stranger can make us build.
const (
	maxDepth   = 16
	maxMembers = 256 // of one object
	maxNumber  = 64  // bytes of one number
)

// decodeObject reads a JSON text that is one object, as I-JSON (RFC 7493) has it and encoding/json
// has not: valid UTF-8 and no lone surrogate, no member twice at any depth, no number beyond a
// double, nothing after the object. NUL is refused too, as some readers end a string there.
// Numbers stay json.Number, so that no digit is lost. No error quotes the text.
func decodeObject(text []byte) (map[string]any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	d := decoder{text: text}
	d.space()
	if d.peek() != '{' {
		return nil, errors.New("not a JSON object")
	}
	object, err := d.object(1)
	if err != nil {
		return nil, err
	}
	if d.space(); d.at != len(d.text) {
		return nil, errors.New("bytes after the JSON object")
	}
	return object, nil
}

// refuseLookalikes refuses a member that differs from a registered name only in case: a reader
// that ignores case, as encoding/json does, would take one for the other.
func refuseLookalikes(object map[string]any, registered []string) error {
	for name := range object {
		for _, r := range registered {
			if name != r && strings.EqualFold(name, r) {
				return fmt.Errorf("a member that reads like %q", r)
			}
		}
	}
	return nil
}

type decoder struct {
	text []byte
	at   int
}

// peek is the byte at hand, or 0 at the end; a NUL is no JSON, so the two need no telling apart.
func (d *decoder) peek() byte {
	if d.at < len(d.text) {
		return d.text[d.at]
	}
	return 0
}

func (d *decoder) space() {
	for d.at < len(d.text) && strings.IndexByte(" \t\r\n", d.text[d.at]) >= 0 {
		d.at++
	}
}

func (d *decoder) value(depth int) (any, error) {
	switch c := d.peek(); {
	case c == '{':
		return d.object(depth + 1)
	case c == '[':
		return d.array(depth + 1)
	case c == '"':
		return d.string()
	case c == '-' || isDigit(c):
		return d.number()
	}
	return d.literal()
}

func (d *decoder) literal() (any, error) {
	rest := d.text[d.at:]
	for _, l := range []struct {
		text  string
		value any
	}{{"true", true}, {"false", false}, {"null", nil}} {
		if len(rest) >= len(l.text) && string(rest[:len(l.text)]) == l.text {
			d.at += len(l.text)
			return l.value, nil
		}
	}
	return nil, errors.New("not JSON")
}

func (d *decoder) object(depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("deeper than %d", maxDepth)
	}
	object := make(map[string]any)
	err := d.list('}', func() error {
		if d.peek() != '"' {
			return errors.New("a member without a name")
		}
		name, err := d.string()
		if err != nil {
			return err
		}
		if _, twice := object[name]; twice {
			return errors.New("a member that comes twice")
		}
		if len(object) == maxMembers {
			return fmt.Errorf("an object of more than %d members", maxMembers)
		}
		if d.space(); d.peek() != ':' {
			return errors.New("a member without a colon")
		}
		d.at++
		d.space()
		object[name], err = d.value(depth)
		return err
	})
	return object, err
}

func (d *decoder) array(depth int) ([]any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("deeper than %d", maxDepth)
	}
	array := []any{}
	err := d.list(']', func() error {
		v, err := d.value(depth)
		array = append(array, v)
		return err
	})
	return array, err
}

// list reads what stands between the brackets of an object or array; element reads one element.
func (d *decoder) list(end byte, element func() error) error {
	d.at++
	if d.space(); d.peek() == end {
		d.at++
		return nil
	}
	for {
		d.space()
		if err := element(); err != nil {
			return err
		}
		d.space()
		switch d.peek() {
		case ',':
			d.at++
		case end:
			d.at++
			return nil
		default:
			return errors.New("a list without a comma or an end")
		}
	}
}

func (d *decoder) number() (json.Number, error) {
	start := d.at
	if d.peek() == '-' {
		d.at++
	}
	if d.peek() == '0' {
		d.at++
	} else if !d.digits() {
		return "", errors.New("a bad number")
	}
	if d.peek() == '.' {
		if d.at++; !d.digits() {
			return "", errors.New("a bad number")
		}
	}
	if c := d.peek(); c == 'e' || c == 'E' {
		if d.at++; d.peek() == '+' || d.peek() == '-' {
			d.at++
		}
		if !d.digits() {
			return "", errors.New("a bad number")
		}
	}
	number := string(d.text[start:d.at])
	if len(number) > maxNumber {
		return "", fmt.Errorf("a number of more than %d bytes", maxNumber)
	}
	if _, err := strconv.ParseFloat(number, 64); err != nil {
		return "", errors.New("a number out of range")
	}
	return json.Number(number), nil
}

func (d *decoder) digits() bool {
	start := d.at
	for isDigit(d.peek()) {
		d.at++
	}
	return d.at > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// string reads a string; most have no escape and are taken as they stand.
func (d *decoder) string() (string, error) {
	d.at++
	start := d.at
	for d.at < len(d.text) {
		switch c := d.text[d.at]; {
		case c == '"':
			d.at++
			return string(d.text[start : d.at-1]), nil
		case c == '\\':
			return d.escaped(append([]byte(nil), d.text[start:d.at]...))
		case c < 0x20:
			return "", errors.New("a control byte in a string")
		}
		d.at++
	}
	return "", errors.New("a string without an end")
}

// escaped reads the rest of a string from its first escape on.
func (d *decoder) escaped(read []byte) (string, error) {
	for d.at < len(d.text) {
		c := d.text[d.at]
		d.at++
		switch {
		case c == '"':
			return string(read), nil
		case c < 0x20:
			return "", errors.New("a control byte in a string")
		case c != '\\':
			read = append(read, c)
		default:
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			read = utf8.AppendRune(read, r)
		}
	}
	return "", errors.New("a string without an end")
}

func (d *decoder) escape() (rune, error) {
	c := d.peek()
	d.at++
	if c == 'u' {
		return d.unicode()
	}
	const escapes, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if i := strings.IndexByte(escapes, c); i >= 0 {
		return rune(meanings[i]), nil
	}
	return 0, errors.New("a bad escape")
}

// unicode reads what follows \u: a code point, or the first half of a surrogate pair and the second.
func (d *decoder) unicode() (rune, error) {
	r, err := d.hex()
	if err != nil {
		return 0, err
	}
	if utf16.IsSurrogate(r) {
		if d.at+1 >= len(d.text) || d.text[d.at] != '\\' || d.text[d.at+1] != 'u' {
			return 0, errors.New("a lone surrogate")
		}
		d.at += 2
		low, err := d.hex()
		if err != nil {
			return 0, err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return 0, errors.New("a lone surrogate")
		}
	}
	if r == 0 {
		return 0, errors.New("a NUL in a string")
	}
	return r, nil
}

func (d *decoder) hex() (rune, error) {
	if d.at+4 > len(d.text) {
		return 0, errors.New("a bad escape")
	}
	var r rune
	for _, c := range d.text[d.at : d.at+4] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, errors.New("a bad escape")
		}
	}
	d.at += 4
	return r, nil
}
