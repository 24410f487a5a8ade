package casefile_test

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/casefile"
)

// wire is what reaches a server.
type wire struct {
	Method, Host, Target, Body string
	Headers                    map[string][]string
}

// TestCurlAsCurlSends compares the requests of bash and curl themselves with ours.
func TestCurlAsCurlSends(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if _, errCurl := exec.LookPath("curl"); err != nil || errCurl != nil {
		t.Skip("needs bash and curl")
	}
	got := make(chan wire, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w := wire{Method: r.Method, Host: r.Host, Target: r.RequestURI, Body: string(body), Headers: map[string][]string{}}
		for name, values := range r.Header {
			w.Headers[strings.ToLower(name)] = values
		}
		got <- w
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`curl http://example.com`,
		`curl 'http://Example.com:8080/a?b=c&d#e'`,
		`curl http://example.com:80/ -X PATCH`,
		`curl -d a=1 -d 'b=2 3' http://x`,
		`curl -d '' http://x`,
		`curl -d '' -d b http://x`,
		`curl http://x/ -d a=1 -H 'Content-Type: text/plain' -H Accept: -H 'X-Empty;' -H 'User-Agent: me'`,
		`curl -G 'http://x?z=1' -d a=1 --data-urlencode 'b=2 &3+ä' --data-urlencode '=c=d' --data-urlencode 'e f'`,
		`curl -G http://x/y -d a`,
		`curl http://x --data-raw @a --data-binary $'b\n\x41'`,
		`curl http://x --json '{"a":' --json ' 1}'`,
		`curl http://x --json '{}' -H 'Accept: text/html'`,
		`curl -X PUT --json '{}' http://x/`,
		`curl http://x -u ann:secret`,
		`curl http://ann:p%40ss@x/y`,
		`curl http://ann:p%40ss@x/y -u bob:b`,
		`curl http://x --oauth2-bearer abc`,
		`curl http://x -H 'Authorization: Bearer abc' -u a:b`,
		`curl http://x -b a=1 --cookie 'b=2; c=3'`,
		`curl http://x -b a=1 -H 'Cookie: d=4'`,
		`curl http://x -A me -e 'http://y/'`,
		`curl http://x -A ''`,
		`curl http://x -H 'Host: shop.example.com' -H 'A: 1' -H 'a:   2 '`,
		`curl 'http://x/a/./b/../c/..?d=/../e'`,
		`curl 'http://x/../../a/.'`,
		`curl 'http://x/a//../b'`,
		`curl --path-as-is http://x/a/../b`,
		`curl 'http://x/a%2e%2e/%2E/b'`,
		"curl \\\n  http://x/\"a\\\"b\"c\\&d \\\n  -H \"x: 'y'\\\\z\"",
		`curl -sSXDELETE http://x -H'a: b'`,
		`curl 'http://x/ä'`,
	} {
		t.Run(line, func(t *testing.T) {
			command := exec.CommandContext(t.Context(), bash, "-c", line+` -s --noproxy '*' --connect-to "::127.0.0.1:$1"`, "bash", port)
			if out, err := command.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want := <-got
			req, err := casefile.ParseCurl(line)
			if err != nil {
				t.Fatal(err)
			}
			h := req.HTTP
			ours := wire{Method: h.Method, Host: h.Host, Target: h.Path.Raw, Body: string(h.RawBody), Headers: maps.Clone(map[string][]string(h.Headers))}
			maps.DeleteFunc(ours.Headers, func(name string, _ []string) bool {
				return name[0] == ':' || slices.Contains([]string{"x-forwarded-proto", "x-envoy-auth-partial-body"}, name)
			})
			want.Target = regexp.MustCompile(`%[0-9a-f]{2}`).ReplaceAllStringFunc(want.Target, strings.ToUpper) // older curls differ in that
			ours.Target = regexp.MustCompile(`%[0-9a-f]{2}`).ReplaceAllStringFunc(ours.Target, strings.ToUpper)
			if agent := want.Headers["user-agent"]; len(agent) == 1 && strings.HasPrefix(agent[0], "curl/") {
				want.Headers["user-agent"] = []string{"curl"} // without its version
			}
			if diff := cmp.Diff(want, ours); diff != "" {
				t.Errorf("request (-curl +ours):\n%s", diff)
			}
		})
	}
}
