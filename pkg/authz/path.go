package authz

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// A Path is a request's :path, cut and decoded once. It is never read as a URL, because a URL
// parser takes the first segment of "//admin/x" for a host (CVE-2026-26205).
type Path struct {
	Raw      string              // as Envoy sent it, with the query
	Segments []string            // decoded, leading slashes dropped, then split at "/"; "/" is [""]
	Query    map[string][]string // decoded

	// Ambiguity names what makes two readers take the path for two places, "" where nothing does:
	// an empty, "." or ".." segment (with path parameters and percent-encoded too), an encoded
	// slash, backslash or NUL, a raw backslash, "#" or control byte, a doubly encoded byte, bytes
	// that are not UTF-8, and a path that does not start with "/". One trailing slash is none.
	Ambiguity string
}

// ParsePath reads a :path. It fails on what has no reading at all: a bad escape, and a query with
// a bad escape, ";" (RFC 1866 and WHATWG disagree about it) or bytes that are not UTF-8.
func ParsePath(raw string) (Path, error) {
	encoded, query, _ := strings.Cut(raw, "?")
	decoded, err := url.PathUnescape(encoded)
	if err != nil {
		return Path{Raw: raw, Ambiguity: "a bad escape"}, malformed("a bad escape in the path")
	}
	p := Path{
		Raw:       raw,
		Segments:  strings.Split(strings.TrimLeft(decoded, "/"), "/"),
		Ambiguity: ambiguity(encoded, decoded),
	}
	p.Query, err = parseQuery(query)
	return p, err
}

func parseQuery(query string) (map[string][]string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, malformed("a bad escape or a semicolon in the query")
	}
	for name, vs := range values {
		for _, v := range append(vs, name) {
			if !utf8.ValidString(v) {
				return nil, malformed("a query that is not UTF-8")
			}
		}
	}
	return values, nil
}

// ambiguity does not quote the path: it may carry a secret.
func ambiguity(encoded, decoded string) string {
	switch {
	case encoded == "" || encoded == "*": // CONNECT, OPTIONS
		return ""
	case encoded[0] != '/':
		return "no leading slash"
	case strings.ContainsAny(encoded, `\#`):
		return "a raw backslash or number sign"
	case strings.ContainsFunc(encoded, isControl):
		return "a control byte"
	case strings.Count(decoded, "/") != strings.Count(encoded, "/"):
		return "an encoded slash"
	case strings.ContainsAny(decoded, "\\\x00"):
		return "an encoded backslash or NUL"
	case !utf8.ValidString(decoded):
		return "bytes that are not UTF-8"
	case hasEscape(decoded):
		return "a doubly encoded byte"
	}
	return segmentAmbiguity(strings.Split(decoded[1:], "/"))
}

// segmentAmbiguity looks at each segment without its path parameters (RFC 3986, section 3.3),
// since some servers drop those before they resolve dot segments.
func segmentAmbiguity(segments []string) string {
	for i, segment := range segments {
		name, _, hasParameters := strings.Cut(segment, ";")
		switch {
		case name == "." || name == "..":
			return "a dot segment"
		case name == "" && (hasParameters || i < len(segments)-1):
			return "an empty segment"
		}
	}
	return ""
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

func hasEscape(s string) bool {
	for i := strings.IndexByte(s, '%'); i >= 0 && i+2 < len(s); i++ {
		if s[i] == '%' && isHex(s[i+1]) && isHex(s[i+2]) {
			return true
		}
	}
	return false
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func malformed(what string) error {
	return &Error{Reason: MalformedRequest, Err: fmt.Errorf("authz: parse path: %w", errors.New(what))}
}
