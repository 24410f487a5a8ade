package main

import (
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An exchange is a request to Envoy and what has to come of it.
type exchange struct {
	name   string
	method string // "": GET, or POST with a body
	path   string // as it is sent
	header http.Header
	body   string

	wantStatus   int
	wantHeader   http.Header // of the answer; each name has these values, nil none
	wantBody     string      // of a denial
	wantUpstream http.Header // what reached the upstream; each name has these values, nil none
	wantURI      string      // what reached the upstream; "": path
}

// run plays the exchange. What is denied must not reach the upstream.
func (e exchange) run(t *testing.T, m *mesh, client *http.Client) {
	before := m.upstream.served.Load()
	got := e.send(t, client, m.url)
	if got.status != e.wantStatus {
		t.Errorf("status %d, want %d; body %q", got.status, e.wantStatus, got.body)
	}
	if diff := cmp.Diff(e.wantHeader, pick(e.wantHeader, got.header)); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	served := m.upstream.served.Load() - before
	if e.wantStatus != http.StatusOK {
		if got.body != e.wantBody {
			t.Errorf("body %q, want %q", got.body, e.wantBody)
		}
		if served != 0 {
			t.Errorf("a denied request reached the upstream %d times", served)
		}
		return
	}
	if served != 1 {
		t.Fatalf("the request reached the upstream %d times", served)
	}
	e.compare(t, got.reached(t))
}

// compare looks at what reached the upstream.
func (e exchange) compare(t *testing.T, got reached) {
	t.Helper()
	if diff := cmp.Diff(e.wantUpstream, pick(e.wantUpstream, got.Header)); diff != "" {
		t.Errorf("upstream header (-want +got):\n%s", diff)
	}
	want := e.wantURI
	if want == "" {
		want = e.path
	}
	if got.URI != want {
		t.Errorf("upstream got %q, want %q", got.URI, want)
	}
	if string(got.Body) != e.body {
		t.Errorf("upstream got a body of %d bytes, want the %d that were sent", len(got.Body), len(e.body))
	}
}

func (e exchange) send(t *testing.T, client *http.Client, url string) answer {
	t.Helper()
	var body io.Reader
	if e.body != "" {
		body = strings.NewReader(e.body)
	}
	return e.sendFrom(t, client, url, body)
}

func (e exchange) sendFrom(t *testing.T, client *http.Client, url string, body io.Reader) answer {
	t.Helper()
	method := e.method
	switch {
	case method != "":
	case body == nil:
		method = http.MethodGet
	default:
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = e.path // the client sends it unchanged
	maps.Copy(req.Header, e.header)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(text), proto: resp.Proto}
}

// An answer is what the client got.
type answer struct {
	status int
	header http.Header
	body   string
	proto  string
}

// reached reads what the upstream says it got.
func (a answer) reached(t *testing.T) reached {
	t.Helper()
	var r reached
	if err := json.Unmarshal([]byte(a.body), &r); err != nil {
		t.Fatalf("the answer is not the upstream's: %d %q", a.status, a.body)
	}
	return r
}

// pick takes the headers with the names of wanted; one that is not there has no values.
func pick(wanted, from http.Header) http.Header {
	if wanted == nil {
		return nil
	}
	picked := make(http.Header, len(wanted))
	for name := range wanted {
		picked[name] = from.Values(name)
	}
	return picked
}

// headers are those of a with those of b.
func headers(a, b http.Header) http.Header {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// reached is what the upstream got.
type reached struct {
	Proto  string
	URI    string
	Header http.Header
	Body   []byte // in JSON as base64
}

// An upstream answers with what it got, and sets headers of its own.
type upstream struct {
	addr   net.Addr
	served atomic.Int64
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	listener := listen(t)
	u := &upstream{addr: listener.Addr()}
	serveHTTP(t, listener, u)
	return u
}

func serveHTTP(t *testing.T, listener net.Listener, handler http.Handler) {
	t.Helper()
	server := &http.Server{Handler: handler, ReadHeaderTimeout: patience, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.served.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Set-Cookie", "upstream=1")
	w.Header().Set("X-Upstream", "its own")
	w.Header().Set("X-Frame-Options", "its own")
	json.NewEncoder(w).Encode(reached{Proto: r.Proto, URI: r.RequestURI, Header: r.Header, Body: body})
}

// clients are the two ways to speak to Envoy; the second begins with HTTP/2, without TLS.
func clients() map[string]*http.Client {
	return map[string]*http.Client{"HTTP/1.1": newClient((*http.Protocols).SetHTTP1), "HTTP/2.0": newClient((*http.Protocols).SetUnencryptedHTTP2)}
}

func http1() *http.Client { return clients()["HTTP/1.1"] }

func newClient(speak func(*http.Protocols, bool)) *http.Client {
	transport := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols), IdleConnTimeout: time.Second}
	speak(transport.Protocols, true)
	return &http.Client{
		Transport:     transport,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// each plays a table in every protocol.
func (m *mesh) each(t *testing.T, exchanges []exchange) {
	t.Helper()
	byProtocol := clients()
	for _, protocol := range slices.Sorted(maps.Keys(byProtocol)) {
		for _, e := range exchanges {
			t.Run(protocol+"/"+e.name, func(t *testing.T) { e.run(t, m, byProtocol[protocol]) })
		}
	}
}
