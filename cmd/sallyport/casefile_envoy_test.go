package main

import (
	"context"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/envoy"
	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

// sightings receive each request that a Checker is asked about, and allow it.
type sightings chan *authz.Request

func (s sightings) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	return authz.Identity{}, nil
}

func (s sightings) Decide(_ context.Context, req *authz.Request, _ authz.Identity) (authz.Decision, error) {
	s <- req
	return authz.Decision{}, nil
}

func (s sightings) Record(context.Context, *authz.Record) error { return nil }

// TestEnvoySeesWhatACurlLineSays sends lines with curl itself through a real Envoy, and compares what
// pkg/envoy reads with what pkg/casefile says it reads.
func TestEnvoySeesWhatACurlLineSays(t *testing.T) {
	binary := envoyBinary(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	tests := []struct {
		name, line string
		edits      []edit
		fields     string // of the request, beside the line
		request    string // instead of the line
	}{
		{name: "GET", line: `curl http://shop.example.com/orders/7?a=%20b`},
		{name: "headers that repeat", line: `curl http://x:8080/ -H 'X-List: a' -H 'x-list: b' -H 'Empty;' -b a=1`},
		{name: "a body", line: `curl -X PUT http://x/orders --json '{"amount": 5}'`},
		{name: "an empty body", line: `curl http://x/orders -d ''`},
		{name: "HEAD", line: `curl -I http://x/`},
		{name: "joined headers", line: `curl http://x/ -H 'a: b' -H 'a: c'`, edits: []edit{{"encode_raw_headers: true", "encode_raw_headers: false"}}, fields: "encode_raw_headers: false"},
		{name: "a text body", line: `curl http://x/ -d $'a\xffb'`, edits: []edit{{"pack_as_bytes: true", "pack_as_bytes: false"}}, fields: "pack_as_bytes: false"},
		{name: "a truncated body", line: `curl http://x/ -d 12345`, edits: []edit{{"max_request_bytes: 1048576", "max_request_bytes: 4"}}, request: `
url: http://x/
method: POST
headers: {accept: "*/*", user-agent: curl, content-type: application/x-www-form-urlencoded, content-length: "5"}
body: "1234"
truncated: true`},
		{name: "HTTP/2", line: `curl --http2-prior-knowledge http://x/ -d a=b`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			seen := make(sightings, 1)
			port := envoyFor(t, binary, seen, tt.edits)
			command := exec.CommandContext(t.Context(), "bash", "-c", tt.line+` -s --noproxy '*' --connect-to "::127.0.0.1:$1"`, "bash", port)
			if out, err := command.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			got := withoutChance(<-seen)
			text := "curl: " + strconv.Quote(tt.line) + "\n" + tt.fields
			if strings.Contains(tt.line, `\x`) {
				text = "curl: |\n  " + tt.line + "\n" + tt.fields
			}
			if tt.request != "" {
				text = tt.request
			}
			want, err := casefile.ParseRequest("request.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(withoutChance(want), got); diff != "" {
				t.Errorf("request (-casefile +Envoy):\n%s", diff)
			}
		})
	}
}

// envoyFor starts an Envoy that asks seen, and returns its port.
func envoyFor(t *testing.T, binary string, seen sightings, edits []edit) string {
	t.Helper()
	service := &envoy.Server{Checker: &authz.Checker{Verifier: seen, Decider: seen, Recorder: seen}}
	server := grpc.NewServer(service.Options()...)
	service.Register(server)
	listener := listen(t)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	ports := map[int]int{9901: freePort(t), 10000: freePort(t), 4317: freePort(t), 8080: freePort(t), 9191: port(listener.Addr())}
	process, err := envoytest.Start(t.Context(), envoytest.Options{
		Binary: binary, Ports: ports, Log: newOutput(), Admin: 9901,
		Config: fitting(t, binary, edited(t, bootstrap(false), append(edits, patient()))),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := process.Stop(); err != nil {
			t.Error(err)
		}
	})
	return strconv.Itoa(ports[10000])
}

// withoutChance leaves out what differs from request to request, the addresses that Envoy adds where it
// faces clients, and the order of headers.
func withoutChance(req *authz.Request) *authz.Request {
	out := &authz.Request{Fault: req.Fault, HTTP: req.HTTP}
	h := out.HTTP
	h.ID, h.Size = "", 0
	added := []string{"x-request-id", "x-forwarded-for", "x-envoy-external-address"}
	maps.DeleteFunc(h.Headers, func(name string, _ []string) bool { return slices.Contains(added, name) })
	h.RawHeaders = slices.DeleteFunc(h.RawHeaders, func(raw authz.RawHeader) bool { return slices.Contains(added, raw.Name) })
	for i, raw := range h.RawHeaders {
		if raw.Name == "user-agent" {
			h.RawHeaders[i].RawValue = nil
		}
	}
	delete(h.Headers, "user-agent")
	slices.SortStableFunc(h.RawHeaders, func(a, b authz.RawHeader) int { return strings.Compare(a.Name, b.Name) })
	return out
}
