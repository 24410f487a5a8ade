package history

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// Anonymous is the [Record.Principal] of a request that proved nothing.
const Anonymous = "anonymous"

// Principal says who asked, as far as it was proved: the subject of each valid token, after its
// rule's name, and the identity in the caller's certificate, as in
// "users:alice spiffe://example.org/web".
func (r *Record) Principal() string {
	var proved []string
	for _, slot := range slices.Sorted(maps.Keys(r.Tokens)) {
		token := r.Tokens[slot]
		if token.Status != authz.TokenValid {
			continue
		}
		who := token.Subject
		if who == "" {
			who = "of " + token.Issuer
		}
		proved = append(proved, slot+":"+who)
	}
	if r.Source.Principal != "" {
		proved = append(proved, r.Source.Principal)
	}
	if len(proved) == 0 {
		return Anonymous
	}
	return strings.Join(proved, " ")
}

// Pattern says what was asked for: the method, and the route where the policy names it, else the path
// with {} for each segment that looks as if it were another one in the next request. Of a connection
// it is the destination's port.
func (r *Record) Pattern() string {
	switch {
	case r.Method == "":
		return "tcp " + strconv.FormatUint(uint64(r.Destination.Port), 10)
	case r.Route != "":
		return r.Method + " " + r.Route
	}
	segments := strings.Split(r.Path, "/")
	for i, segment := range segments {
		if Varies(segment) {
			segments[i] = "{}"
		}
	}
	return r.Method + " " + strings.Join(segments, "/")
}

// longName is the length from which a segment with digits is no name that people gave.
const longName = 16

// Varies tells whether a segment of a path looks as if it were another one in the next request: a
// number, an id, a date, an address or random text.
func Varies(segment string) bool {
	digits, letters := 0, 0
	for _, r := range segment {
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsLetter(r):
			letters++
		}
	}
	switch {
	case strings.Contains(segment, mask.Text), strings.ContainsAny(segment, "@%"):
		return true
	case digits == 0:
		return false
	}
	return letters == 0 || len(segment) >= longName || digits > letters
}
