package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

// TestHostileFrames goes below gRPC: frames and messages that no client library sends. None is answered
// with an allow, and other connections notice nothing. Where gRPC answers with an error of its own, it
// is the caller who is broken, and that is Envoy: what a client of Envoy sends never gets here.
func TestHostileFrames(t *testing.T) {
	a := startAttacked(t)
	a.goodAndBad(t)
	goroutines := runtime.NumGoroutine()
	good := a.checks["get"]
	for name, tc := range map[string]struct {
		send func(*frames)
		want string // the status of gRPC, or how the connection or the stream ends
	}{
		"a good check": {func(f *frames) { f.call().message(0, good, len(good)).end() }, "0"},

		"rubbish instead of HTTP/2": {func(f *frames) { f.reopen("GET / HTTP/1.1\r\nHost: sallyport\r\n\r\n") }, "closed"},
		"a frame on no stream":      {func(f *frames) { f.WriteRawFrame(http2.FrameData, 0, 0, good) }, "closed"},
		"data of no call":           {func(f *frames) { f.WriteData(1, true, good); f.ping() }, "a pong"},
		"a frame above the limit":   {func(f *frames) { f.call().WriteRawFrame(http2.FrameData, 0, 1, make([]byte, 1<<20)) }, "closed"},
		"a window that overflows":   {func(f *frames) { f.call().WriteWindowUpdate(1, 1<<31-1); f.WriteWindowUpdate(1, 1<<31-1); f.ping() }, "a pong"},
		"an even stream":            {func(f *frames) { f.stream = 2; f.call() }, "GOAWAY PROTOCOL_ERROR"},
		"a header block that is none": {func(f *frames) {
			f.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, []byte("\xff\xff\xff\xff\xff"))
		}, "closed"},
		"headers without an end": {(*frames).endless, "closed"},
		"one header, many times": {(*frames).amplified, "RST_STREAM"},
		"pings without a pause":  {(*frames).pings, "GOAWAY ENHANCE_YOUR_CALM"},

		"another method":               {func(f *frames) { f.method = "GET"; f.call().end() }, "13"},
		"another path":                 {func(f *frames) { f.path = "/envoy.service.auth.v3.Authorization/check"; f.call().end() }, "12"},
		"no message":                   {func(f *frames) { f.call().end() }, "13"},
		"half a prefix":                {func(f *frames) { f.call().WriteData(1, true, []byte{0, 0}) }, "13"},
		"a message cut short":          {func(f *frames) { f.call().message(0, good[:20], len(good)).end() }, "13"},
		"two messages":                 {func(f *frames) { f.call().message(0, good, len(good)).message(0, good, len(good)).end() }, "13"},
		"a message of 4 GiB, it says":  {func(f *frames) { f.call().message(0, good, 1<<32-1).end() }, "8"},
		"a message of 64 MiB, it says": {func(f *frames) { f.call().message(0, good, 64<<20+1).end() }, "8"},
		"compressed, not saying how":   {func(f *frames) { f.call().message(1, good, len(good)).end() }, "13"},
		"an unknown flag":              {func(f *frames) { f.call().message(7, good, len(good)).end() }, "13"},
		"an unknown compression":       {func(f *frames) { f.encoding = "br"; f.call().message(1, good, len(good)).end() }, "12"},
		"compressed, and no gzip":      {func(f *frames) { f.encoding = "gzip"; f.call().message(1, good, len(good)).end() }, "13"},
	} {
		t.Run(name, func(t *testing.T) {
			f := a.open(t)
			tc.send(f)
			if got := f.outcome(); !strings.HasPrefix(got, tc.want) {
				t.Errorf("it ended with %s, want %s", got, tc.want)
			}
			a.goodAndBad(t)
		})
	}
	until(t, "the connections' goroutines end", func() bool { return runtime.NumGoroutine() < goroutines+20 })
	a.compareRecordCount(t)
}

// TestHostileResets opens streams and resets them at once, more than a connection may have, as in
// CVE-2023-44487; then it leaves connections in the middle of everything.
func TestHostileResets(t *testing.T) {
	a := startAttacked(t)
	goroutines, heap := runtime.NumGoroutine(), heapBytes()
	good := a.checks["get"]
	f := a.open(t)
	for range 20_000 {
		f.call().message(0, good, len(good)).WriteRSTStream(f.stream, http2.ErrCodeCancel)
		f.stream += 2
	}
	a.goodAndBad(t)
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		f := a.open(t)
		whole := newFrames(new(bytes.Buffer))
		whole.call().message(0, good, len(good)).end()
		text := whole.to.(*bytes.Buffer).Bytes()
		f.to.Write(text[:random.IntN(len(text))])
		f.conn.Close()
	}
	f.conn.Close()
	a.goodAndBad(t)
	until(t, "the connections' goroutines end", func() bool { return runtime.NumGoroutine() < goroutines+20 })
	if grown := heapBytes() - heap; grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
}

// TestHostileSizes: what is larger than a check may be is denied; what is larger than anything that
// Envoy is set up to send is the one gRPC error that a caller can bring about, without being read.
func TestHostileSizes(t *testing.T) {
	a := startAttacked(t)
	for name, tc := range map[string]struct {
		bytes   int
		options []grpc.CallOption
		want    codes.Code
	}{
		"above a check's limit":              {3 << 20, nil, codes.OK},
		"the largest that is received":       {64 << 20, nil, codes.OK},
		"above":                              {64<<20 + 1, nil, codes.ResourceExhausted},
		"above, compressed to a thousandth":  {64<<20 + 1, []grpc.CallOption{grpc.UseCompressor(gzip.Name)}, codes.ResourceExhausted},
		"within, compressed to a thousandth": {64 << 20, []grpc.CallOption{grpc.UseCompressor(gzip.Name)}, codes.OK},
	} {
		t.Run(name, func(t *testing.T) {
			var answer auth.CheckResponse
			options := append(tc.options, grpc.ForceCodec(envoytest.RawCodec{}))
			err := a.conns[0].Invoke(t.Context(), auth.Authorization_Check_FullMethodName, envoytest.Raw(make([]byte, tc.bytes)), &answer, options...)
			if status.Code(err) != tc.want {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if denied := answer.GetDeniedResponse().GetStatus().GetCode(); err == nil && denied != http.StatusRequestEntityTooLarge {
				t.Errorf("answered %v, want 413", &answer)
			}
			a.goodAndBad(t)
		})
	}
}

// frames write HTTP/2 as they are told, for calls of Check.
type frames struct {
	*http2.Framer
	conn     net.Conn
	to       io.Writer
	stream   uint32
	method   string
	path     string
	encoding string
	headers  *hpack.Encoder
	block    *bytes.Buffer
}

func newFrames(to io.Writer) *frames {
	f := &frames{to: to, Framer: http2.NewFramer(to, nil), stream: 1, method: "POST", path: auth.Authorization_Check_FullMethodName, block: new(bytes.Buffer)}
	f.AllowIllegalWrites = true
	f.headers = hpack.NewEncoder(f.block)
	return f
}

func (a *attacked) open(t *testing.T) *frames {
	t.Helper()
	conn, err := net.Dial("tcp", a.line.server.GRPCAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	f := newFrames(conn)
	f.conn, f.Framer = conn, http2.NewFramer(conn, conn)
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	io.WriteString(conn, http2.ClientPreface)
	f.WriteSettings()
	return f
}

// reopen begins another connection in another way.
func (f *frames) reopen(text string) {
	f.conn.Close()
	conn, err := net.Dial("tcp", f.conn.RemoteAddr().String())
	if err != nil {
		return // the outcome says so
	}
	io.WriteString(conn, text)
	conn.SetDeadline(time.Now().Add(patience))
	f.conn, f.Framer = conn, http2.NewFramer(conn, conn)
}

func (f *frames) field(name, value string) {
	f.headers.WriteField(hpack.HeaderField{Name: name, Value: value})
}

// call begins one.
func (f *frames) call() *frames {
	f.block.Reset()
	f.field(":method", f.method)
	f.field(":scheme", "http")
	f.field(":path", f.path)
	f.field(":authority", "sallyport")
	f.field("content-type", "application/grpc")
	f.field("te", "trailers")
	if f.encoding != "" {
		f.field("grpc-encoding", f.encoding)
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: f.stream, BlockFragment: f.block.Bytes(), EndHeaders: true})
	return f
}

// message says a length, and sends a text, a frame's worth at a time.
func (f *frames) message(flag byte, text []byte, length int) *frames {
	prefix := append([]byte{flag}, binary.BigEndian.AppendUint32(nil, uint32(length))...)
	for text := append(prefix, text...); len(text) > 0; {
		n := min(len(text), 16<<10)
		f.WriteData(f.stream, false, text[:n])
		text = text[n:]
	}
	return f
}

func (f *frames) end() { f.WriteData(f.stream, true, nil) }

// endless is a header block of any number of frames (CVE-2023-45288).
func (f *frames) endless() {
	f.block.Reset()
	f.field("x-much", strings.Repeat("x", 10_000))
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block.Bytes()})
	for range 1000 {
		if f.WriteContinuation(1, false, f.block.Bytes()) != nil {
			return
		}
	}
}

// amplified names one entry of the table of headers again and again.
func (f *frames) amplified() {
	f.call()
	f.stream += 2
	f.block.Reset()
	for range 10_000 {
		f.field("x-much", strings.Repeat("x", 3000))
	}
	fragment := f.block.Bytes()
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: f.stream, BlockFragment: fragment[:10_000], EndHeaders: true})
}

func (f *frames) ping() { f.WritePing(false, [8]byte{'o', 'u', 'r', 's'}) }

func (f *frames) pings() {
	for range 1000 {
		f.WritePing(false, [8]byte{})
	}
}

// outcome reads until the call, or the connection, has ended.
func (f *frames) outcome() string {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				return "nothing"
			}
			return "closed"
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range frame.Fields {
				if field.Name == "grpc-status" {
					return field.Value
				}
			}
		case *http2.PingFrame: // gRPC sends some too
			if frame.IsAck() && frame.Data[0] == 'o' {
				return "a pong"
			}
		case *http2.GoAwayFrame:
			return "GOAWAY " + frame.ErrCode.String()
		case *http2.RSTStreamFrame:
			return "RST_STREAM " + frame.ErrCode.String()
		}
	}
}
