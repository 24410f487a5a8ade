package casefile_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
)

// sent is a request in short: the method, the URL, the headers that curl does not always send, the body.
func sent(req *authz.Request) string {
	var out strings.Builder
	h := req.HTTP
	out.WriteString(h.Method + " " + h.Scheme + "://" + h.Host + h.Path.Raw)
	for _, raw := range h.RawHeaders {
		line := raw.Name + "=" + string(raw.RawValue)
		switch {
		case raw.Name[0] == ':', strings.HasPrefix(raw.Name, "x-"), raw.Name == "content-length", line == "user-agent=curl", line == "accept=*/*":
		default:
			out.WriteString(" " + line)
		}
	}
	if len(h.RawBody) > 0 {
		out.WriteString(" body=" + string(h.RawBody))
	}
	return out.String()
}

func TestCurl(t *testing.T) {
	const form = " content-type=application/x-www-form-urlencoded"
	tests := []struct{ line, want string }{
		{`curl example.com`, "GET http://example.com/"},
		{`/usr/bin/curl https://example.com:443/a?b=c#d`, "GET https://example.com/a?b=c"},
		{`curl -X DELETE 'http://example.com:8080/a b' --url x`, ""},
		{`curl -XDELETE http://example.com:8080/a`, "DELETE http://example.com:8080/a"},
		{"curl \\\n  -sSLkv --compressed \\\n  'http://x/?a&b' -o /dev/null -w '%{http_code}'", "GET http://x/?a&b accept-encoding=deflate, gzip, br, zstd"},
		{`curl x -d a=1 -d 'b=2 3'`, "POST http://x/" + form + " body=a=1&b=2 3"},
		{`curl x -d a=1 -H 'Content-Type: text/plain'`, "POST http://x/ content-type=text/plain body=a=1"},
		{`curl x -d a=1 -H Content-Type:`, "POST http://x/ body=a=1"},
		{`curl -G x?z=1 -d a=1 --data-urlencode 'b=2 &3'`, "GET http://x/?z=1&a=1&b=2+%263"},
		{`curl x --data-urlencode 'a b'`, "POST http://x/" + form + " body=a+b"},
		{`curl x --data-raw @a --data-binary $'b\n'`, "POST http://x/" + form + " body=@a&b\n"},
		{`curl x --json '{"a":' --json ' 1}'`, `POST http://x/ accept=application/json content-type=application/json body={"a": 1}`},
		{`curl -I x`, "HEAD http://x/"},
		{`curl x -u ann:secret`, "GET http://x/ authorization=Basic YW5uOnNlY3JldA=="},
		{`curl x --oauth2-bearer abc`, "GET http://x/ authorization=Bearer abc"},
		{`curl x -H 'Authorization: Bearer abc' -u a:b`, "GET http://x/ authorization=Bearer abc"},
		{`curl x -b a=1 --cookie 'b=2; c=3'`, "GET http://x/ cookie=a=1;b=2; c=3"},
		{`curl x -A me -e 'http://y/;auto'`, "GET http://x/ user-agent=me referer=http://y/"},
		{`curl x -A ''`, "GET http://x/"},
		{`curl x -H 'Host: shop.example.com' -H 'A: 1' -H 'a: 2' -H 'Empty;'`, "GET http://shop.example.com/ a=1 a=2 empty="},
		{`curl x/a/./b/../c/..?d=/../e`, "GET http://x/a/?d=/../e"},
		{`curl --path-as-is x/a/../b`, "GET http://x/a/../b"},
		{`curl -- x`, "GET http://x/"},
		{`curl "x/\"\$\\\a" -H "a: b"c\ d`, `GET http://x/"$\\a a=bc d`},
		{`curl $'x/\x41\u00e4\'' --http2 -m 5`, "GET http://x/A%C3%A4'"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			req, err := casefile.ParseCurl(tt.line)
			if tt.want == "" {
				if err == nil {
					t.Errorf("got %s, want an error", sent(req))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, sent(req)); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCurlRefuses(t *testing.T) {
	tests := []struct{ line, want string }{
		{``, "must begin with curl"},
		{`wget x`, "must begin with curl"},
		{`curl`, "one URL is needed, there are 0"},
		{`curl x y`, "one URL is needed, there are 2"},
		{`curl x --proxy-header a`, "--proxy-header is not supported"},
		{`curl x --request=POST`, "--request=POST is not supported"},
		{`curl x -sZ`, "-Z is not supported"},
		{`curl x -F a=b`, "-F: forms in parts are not supported"},
		{`curl x --form a=b`, "--form: forms in parts are not supported"},
		{`curl x -T file`, "-T: it would read a file"},
		{`curl x -d @file`, "-d: it would read a file"},
		{`curl x -d@file`, "-d: it would read a file"},
		{`curl x --data-urlencode a@file`, "--data-urlencode: it would read a file"},
		{`curl x -H @file`, "-H: it would read a file"},
		{`curl x -b jar.txt`, "-b: it would read a file"},
		{`curl x --json @file`, "--json: it would read a file"},
		{`curl x -E cert.pem`, "-E: it would read a file; write what the certificate says as source.principal"},
		{`curl x -u ann`, "-u: curl would ask for the password"},
		{`curl x -X`, "-X: its value is missing"},
		{`curl x -X 'A B'`, `"A B" is no header's name`},
		{`curl x --next y`, "--next: a case is one request"},
		{`curl x -H secret`, `-H: a header is written as "Name: value"`},
		{`curl x -H 'a b: c'`, `-H: "a b" is no header's name`},
		{`curl x -H $'a: b\nc'`, "line break"},
		{`curl x -H 'Host: a' -H 'Host: b'`, "two Host headers"},
		{`curl ftp://x`, "must begin with http"},
		{`curl 'x/a b'`, "a space or a control character"},
		{`curl http://`, "no host"},
		{`curl http://a%zz@x`, "bad escape"},
		{`curl x?a=1&b=2`, `would not take "&" as text`},
		{`curl x -H "a: $TOKEN"`, `would expand "$"`},
		{`curl $URL`, `would not take "$" as text`},
		{`curl 'x`, "a quote is not closed"},
		{`curl "x`, "a quote is not closed"},
		{`curl $'x`, "a quote is not closed"},
		{`curl $'x\`, "a quote is not closed"},
		{`curl $'\c'`, `the escape "\c" is not supported`},
		{`curl $'\xg'`, `the escape "\x" has no digits`},
		{`curl x # y`, "a comment is not supported"},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			req, err := casefile.ParseCurl(tt.line)
			if err == nil {
				t.Fatalf("got %s, want an error", sent(req))
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want one that holds %q", err, tt.want)
			}
		})
	}
}

// Errors name options and never their values, which may be credentials.
func TestCurlErrorsTellNoSecret(t *testing.T) {
	for _, line := range []string{
		`curl x -u s3cret`, `curl x -H s3cret`, `curl x -H 'a: s3cret' --unknown s3cret`, `curl x --json @s3cret`, `curl x -b s3cret`,
		`curl 'http://s3cret%zz:s3cret@x'`, `curl x s3cret`, `s3cret`, `curl x -H $'a: s3cret\n'`,
	} {
		if _, err := casefile.ParseCurl(line); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error %v", line, err)
		}
	}
}

func FuzzCurl(f *testing.F) {
	for _, seed := range []string{
		`curl -X POST 'https://x/y?z' -H "a: b" -d $'c\x00'`, "curl \\\n x", `curl -sGIu a:b x --json {}`, `curl "\`, `curl x/../../.`, `curl -- -x`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		req, err := casefile.ParseCurl(line)
		if (req == nil) != (err != nil) {
			t.Fatalf("%v, %v", req, err)
		}
		if err != nil {
			return
		}
		h := req.HTTP
		if h.Method == "" || h.Host == "" || !strings.HasPrefix(h.Path.Raw, "/") || h.Headers[":path"][0] != h.Path.Raw {
			t.Errorf("%q: an incomplete request: %+v", line, h)
		}
		for _, raw := range h.RawHeaders {
			if raw.Name != strings.ToLower(raw.Name) || strings.ContainsAny(string(raw.RawValue), "\r\n") {
				t.Errorf("%q: header %q: %q", line, raw.Name, raw.RawValue)
			}
		}
	})
}
