package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// TestHostileChecks sends messages that nobody sane would send to the line that serve runs: recorded
// checks of Envoy, changed in every part, and rubbish. Each is answered, with a denial unless it asks
// for what its token may have; no answer is a gRPC error, and nothing panics. CHECKS says how many
// (hack/fuzz sends a million), SEED which.
func TestHostileChecks(t *testing.T) {
	checks, seed := number64(t, "CHECKS", 2000), number64(t, "SEED", uint64(time.Now().UnixNano()))
	t.Logf("SEED=%d CHECKS=%d", seed, checks)
	a := startAttacked(t)
	a.goodAndBad(t)
	goroutines, heap := runtime.NumGoroutine(), heapBytes()
	begun := time.Now()
	a.attack(t, checks, seed)
	took := time.Since(begun)
	a.goodAndBad(t)
	a.compareRecords(t)
	if n := runtime.NumGoroutine(); n > goroutines+50 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if grown := heapBytes() - heap; grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	if metrics := (&sallyport{adminAddr: a.line.server.AdminAddr()}).scrape(t); !strings.Contains(metrics, `reason="internal"} 0`) {
		t.Errorf("something panicked:\n%s", metrics)
	}
	t.Logf("%d checks in %v: %s", checks, took.Round(time.Second), a.tally())
}

// number64 is a number of the environment.
func number64(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// An attacked line, and what it answered.
type attacked struct {
	line    *line
	issuer  string // its URL
	conns   []*grpc.ClientConn
	checks  map[string][]byte // recorded, with good tokens
	token   string            // of a clerk
	records *tallying
	answers atomic.Int64
	allowed atomic.Int64
}

// A tallying recorder counts reasons.
type tallying struct {
	mu      sync.Mutex
	reasons map[authz.Reason]int
}

// Record implements [authz.Recorder].
func (r *tallying) Record(_ context.Context, record *authz.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reasons[record.Decision.Reason]++
	return nil
}

// startAttacked runs the configuration of routes.yaml but for its public route: nothing may pass
// without a token.
func startAttacked(t *testing.T) *attacked {
	t.Helper()
	issuer, err := tokentest.New(tokentest.Config{Algorithms: []string{"ES256"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { issuer.Close() })
	text, err := os.ReadFile(filepath.Join("testdata", "routes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("routes.yaml", []byte(strings.NewReplacer(
		"https://issuer.example.com", issuer.URL, "- {path: /public/**, public: true}", "", `admin: ""`, "admin: 127.0.0.1:0",
	).Replace(string(text))+"\nrequest: {timeout: 1m}\nlimits: {wait: 10s}\ndecisionLog: {stdout: false, file: "+filepath.Join(t.TempDir(), "log")+"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := &attacked{issuer: issuer.URL, records: &tallying{reasons: map[authz.Reason]int{}}}
	var first *grpc.ClientConn
	a.line, first = running(t, cfg, a.records)
	a.conns = []*grpc.ClientConn{first, a.dial(t), a.dial(t), a.dial(t)}
	if a.token, err = issuer.Token("orders", map[string]any{"roles": []string{"clerk"}, "exp": time.Now().Add(24 * time.Hour).Unix()}); err != nil {
		t.Fatal(err)
	}
	mesh, err := issuer.Token("mesh", map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	a.checks = recordedChecks(t, strings.NewReplacer(tokenWord, a.token, "MESH", mesh))
	return a
}

func (a *attacked) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(a.line.server.GRPCAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// attack sends so many checks, from eight clients; the first that is answered wrongly ends it.
func (a *attacked) attack(t *testing.T, checks, seed uint64) {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	const clients = 8
	var wait sync.WaitGroup
	for client := range uint64(clients) {
		m := &mutator{random: rand.New(rand.NewPCG(seed, client)), words: a.words()}
		for _, name := range []string{"cookie", "get", "get-joined", "network", "parameter", "post", "post-joined", "twice", "two"} {
			m.seeds = append(m.seeds, a.checks[name])
		}
		wait.Go(func() {
			for n := client; n < checks && ctx.Err() == nil; n += clients {
				message := m.next()
				if err := a.ask(ctx, a.conns[n%uint64(len(a.conns))], message); err != nil && ctx.Err() == nil {
					stop(fmt.Errorf("client %d, check %d: %w\n%q", client, n, err, message))
				}
			}
		})
	}
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		t.Fatal(err)
	}
}

// words have meaning somewhere on the way of a check.
func (a *attacked) words() [][]byte {
	words := [][]byte{[]byte("Bearer " + a.token), []byte("session=" + a.token), []byte(a.token), []byte(strings.Repeat("[", 20_000))}
	for _, text := range []string{
		"", "/", "//", "/..", "/../", "/..;/", "/orders/7", "/orders/../public", "/public/page", "//orders", "*", "?", "#", ";", "\\", "%", "%00", "%2e%2e", "%2f", "%252f", "%zz",
		"GET", "POST", "CONNECT", "QUERY", "\x00", "\r\nx-user: root", "\xff", "\xc0\xaf", "\u202e", "�", "authorization", "Authorization", "cookie", "x-user", "x-workload-token",
		":path", ":method", ":authority", "content-type", "application/json", "application/grpc", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "gzip", "grpc-encoding",
		"x-envoy-auth-partial-body", "true", "bearer ", "Bearer ", "Basic dTpw", "DPoP ", "a.b.c", "..", "eyJhbGciOiJub25lIn0.e30.", ",", "x-envoy-original-path", "x-forwarded-for",
		"spiffe://example.org/ns/shop/sa/frontend", "-----BEGIN CERTIFICATE-----%0A", `{"amount": 1, "amount": 9}`, `{"amount": 1e999}`, `{"amount": 1}`, "\x00\x00\x00\x00\x05hello", "1", "-1", "18446744073709551616",
	} {
		words = append(words, []byte(text))
	}
	return words
}

// ask sends a message and says what is wrong with the answer.
func (a *attacked) ask(ctx context.Context, conn *grpc.ClientConn, message []byte) error {
	var answer auth.CheckResponse
	if err := a.send(ctx, conn, message, &answer); err != nil {
		return fmt.Errorf("a gRPC error: %w", err)
	}
	a.answers.Add(1)
	if answer.GetStatus().GetCode() != 0 {
		if status := answer.GetDeniedResponse().GetStatus().GetCode(); status < 400 || status > 503 {
			return fmt.Errorf("denied with %d", status)
		}
		return nil
	}
	a.allowed.Add(1)
	if err := a.mayPass(message); err != nil {
		return fmt.Errorf("allowed, though %w", err)
	}
	return upstreamIsAlice(&answer)
}

func (a *attacked) send(ctx context.Context, conn *grpc.ClientConn, message []byte, answer *auth.CheckResponse) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return conn.Invoke(ctx, auth.Authorization_Check_FullMethodName, envoytest.Raw(message), answer, grpc.ForceCodec(envoytest.RawCodec{}))
}

// mayPass says why a message must be denied. It reads it in another way than Sallyport does.
func (a *attacked) mayPass(message []byte) error {
	var check auth.CheckRequest
	if err := proto.Unmarshal(message, &check); err != nil {
		return err
	}
	http := check.GetAttributes().GetRequest().GetHttp()
	raw, query, _ := strings.Cut(http.GetPath(), "?")
	path, err := url.PathUnescape(raw)
	parameters, errQuery := url.ParseQuery(query)
	switch {
	case http == nil:
		return errors.New("it is no HTTP request")
	case err != nil || errQuery != nil:
		return fmt.Errorf("it has a bad escape: %w", errors.Join(err, errQuery))
	case !slices.Contains([]string{"orders", "payments", "mesh"}, strings.Split(path+"/", "/")[1]):
		return fmt.Errorf("no route has %q", path)
	case strings.ContainsAny(path, "\\#\x00%") || strings.Contains(path, "//") || strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../"):
		return fmt.Errorf("%q is ambiguous", path)
	}
	if n := a.bears(http) + counted(parameters["access_token"], a.token); n != 1 {
		return fmt.Errorf("it bears the token %d times", n)
	}
	return nil
}

// bears counts the token in headers: in the raw ones where there are any.
func (a *attacked) bears(http *auth.AttributeContext_HttpRequest) (n int) {
	count := func(name, value string) {
		switch {
		case strings.EqualFold(name, "authorization") && strings.EqualFold(value[:min(len(value), 7)], "bearer "):
			n += strings.Count(value, " "+a.token)
		case strings.EqualFold(name, "cookie"):
			n += strings.Count(value, "session="+a.token)
		}
	}
	for _, header := range http.GetHeaderMap().GetHeaders() {
		count(header.GetKey(), cmp.Or(string(header.GetRawValue()), header.GetValue()))
	}
	if len(http.GetHeaderMap().GetHeaders()) == 0 {
		for name, value := range http.GetHeaders() {
			count(name, value)
		}
	}
	return n
}

func counted(values []string, value string) (n int) {
	for _, v := range values {
		if v == value {
			n++
		}
	}
	return n
}

// upstreamIsAlice says what is wrong with an allow: it names the token's subject to the upstream, and
// overwrites what the client said.
func upstreamIsAlice(answer *auth.CheckResponse) error {
	for _, header := range answer.GetOkResponse().GetHeaders() {
		if h := header.GetHeader(); h.GetKey() == "x-user" && h.GetValue() == "alice" {
			return nil
		}
	}
	return fmt.Errorf("allowed without x-user: alice: %v", answer)
}

// goodAndBad asks two questions whose answers are known.
func (a *attacked) goodAndBad(t *testing.T) {
	t.Helper()
	for name, want := range map[string]int64{"get": 1, "twice": 0} {
		before := a.allowed.Load()
		if err := a.ask(t.Context(), a.conns[0], a.checks[name]); err != nil || a.allowed.Load()-before != want {
			t.Errorf("%s: allowed %d times, want %d; %v", name, a.allowed.Load()-before, want, err)
		}
	}
}

// compareRecords wants a record of each check, none of a panic, and every kind of end.
func (a *attacked) compareRecords(t *testing.T) {
	t.Helper()
	total := a.compareRecordCount(t)
	for _, reason := range []authz.Reason{authz.Allowed, authz.MalformedRequest, authz.PathAmbiguous, authz.TokenMalformed, authz.TokenMultiple, authz.PolicyDenied} {
		if n := a.records.reasons[reason]; n < total/1000 {
			t.Errorf("%d of %d checks ended with %s: the messages are too odd, or not odd enough", n, total, reason)
		}
	}
}

// compareRecordCount wants a record of each check, and none of a panic.
func (a *attacked) compareRecordCount(t *testing.T) (total int) {
	t.Helper()
	a.records.mu.Lock()
	defer a.records.mu.Unlock()
	for reason, n := range a.records.reasons {
		total += n
		if reason == authz.Internal || reason == "" {
			t.Errorf("%d checks ended with %q", n, reason)
		}
	}
	if int64(total) < a.answers.Load() {
		t.Errorf("%d records of %d checks", total, a.answers.Load())
	}
	return total
}

func (a *attacked) tally() string { return fmt.Sprint(a.records.reasons) }
