package authz_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

func TestParsePath(t *testing.T) {
	for raw, want := range map[string]struct {
		segments  []string
		query     map[string][]string
		ambiguity string
		fault     authz.Reason
	}{
		"":                      {segments: []string{""}},
		"/":                     {segments: []string{""}},
		"*":                     {segments: []string{"*"}},
		"/a/b":                  {segments: []string{"a", "b"}},
		"/a/b/":                 {segments: []string{"a", "b", ""}},
		"/a%20b/100%25":         {segments: []string{"a b", "100%"}},
		"/caf%C3%A9":            {segments: []string{"café"}},
		"/.well-known/..hidden": {segments: []string{".well-known", "..hidden"}},
		"/a;v=1/b":              {segments: []string{"a;v=1", "b"}},
		"/a?b=1&b=2&c":          {segments: []string{"a"}, query: map[string][]string{"b": {"1", "2"}, "c": {""}}},
		"/a?next=/../%2e%2e//":  {segments: []string{"a"}, query: map[string][]string{"next": {"/../..//"}}},
		"/a?x=?":                {segments: []string{"a"}, query: map[string][]string{"x": {"?"}}},
		"/a%3Fx":                {segments: []string{"a?x"}},

		"//admin/x":            {segments: []string{"admin", "x"}, ambiguity: "an empty segment"},
		"/a//b":                {segments: []string{"a", "", "b"}, ambiguity: "an empty segment"},
		"/a/;x":                {segments: []string{"a", ";x"}, ambiguity: "an empty segment"},
		"/a/;x/b":              {segments: []string{"a", ";x", "b"}, ambiguity: "an empty segment"},
		"/a//":                 {segments: []string{"a", "", ""}, ambiguity: "an empty segment"},
		"/a/./b":               {segments: []string{"a", ".", "b"}, ambiguity: "a dot segment"},
		"/a/..":                {segments: []string{"a", ".."}, ambiguity: "a dot segment"},
		"/public/..;/admin":    {segments: []string{"public", "..;", "admin"}, ambiguity: "a dot segment"},
		"/public/%2e%2E/admin": {segments: []string{"public", "..", "admin"}, ambiguity: "a dot segment"},
		"/public/.%2e%3bx/a":   {segments: []string{"public", "..;x", "a"}, ambiguity: "a dot segment"},
		"/public/..%2forders":  {segments: []string{"public", "..", "orders"}, ambiguity: "an encoded slash"},
		"/a%2Fb":               {segments: []string{"a", "b"}, ambiguity: "an encoded slash"},
		"/a%5cb":               {segments: []string{`a\b`}, ambiguity: "an encoded backslash or NUL"},
		"/a%00":                {segments: []string{"a\x00"}, ambiguity: "an encoded backslash or NUL"},
		`/a\b`:                 {segments: []string{`a\b`}, ambiguity: "a raw backslash or number sign"},
		"/a#b":                 {segments: []string{"a#b"}, ambiguity: "a raw backslash or number sign"},
		"/a\tb":                {segments: []string{"a\tb"}, ambiguity: "a control byte"},
		"/a%252fb":             {segments: []string{"a%2fb"}, ambiguity: "a doubly encoded byte"},
		"/a%25%32%66":          {segments: []string{"a%2f"}, ambiguity: "a doubly encoded byte"},
		"/%c0%af":              {segments: []string{"\xc0\xaf"}, ambiguity: "bytes that are not UTF-8"},
		"admin":                {segments: []string{"admin"}, ambiguity: "no leading slash"},
		"http://host/admin":    {segments: []string{"http:", "", "host", "admin"}, ambiguity: "no leading slash"},

		"/a%zz":    {ambiguity: "a bad escape", fault: authz.MalformedRequest},
		"/a%":      {ambiguity: "a bad escape", fault: authz.MalformedRequest},
		"/a%u002f": {ambiguity: "a bad escape", fault: authz.MalformedRequest},
		"/a?b;c":   {segments: []string{"a"}, fault: authz.MalformedRequest},
		"/a?b=%g":  {segments: []string{"a"}, fault: authz.MalformedRequest},
		"/a?b=%ff": {segments: []string{"a"}, fault: authz.MalformedRequest},
		"/a?%ff=b": {segments: []string{"a"}, fault: authz.MalformedRequest},
	} {
		t.Run(raw, func(t *testing.T) {
			got, err := authz.ParsePath(raw)
			var fault authz.Reason
			if err != nil {
				fault = authz.ReasonOf(err)
			}
			if want.query == nil && want.fault == "" {
				want.query = map[string][]string{}
			}
			wantPath := authz.Path{Raw: raw, Segments: want.segments, Query: want.query, Ambiguity: want.ambiguity}
			if diff := cmp.Diff(wantPath, got); diff != "" || fault != want.fault {
				t.Errorf("fault %q, want %q; path (-want +got):\n%s", fault, want.fault, diff)
			}
		})
	}
}

// A path that is not ambiguous has one reading: encoding what was decoded gives the same segments.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"/", "/a/../b", "/a%2fb?c=d", "//x", "/%25%32%66", `/\`, "*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, err := authz.ParsePath(raw)
		if err != nil || path.Ambiguity != "" || raw == "" || raw[0] != '/' {
			return
		}
		for i, segment := range path.Segments {
			if segment == "." || segment == ".." || segment == "" && i < len(path.Segments)-1 {
				t.Errorf("%q has segments %q and is not called ambiguous", raw, path.Segments)
			}
		}
	})
}
