package envoy_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/envoy"
)

// unusual is a request that decode leaves to protobuf's decoder.
const unusual = "unusual"

// read compares the fast reading with protobuf's, which counts.
func read(t *testing.T, text []byte) (fast *authz.Request) {
	t.Helper()
	const maxBodyBytes = 64
	fast, ok := envoy.Decode(string(text), maxBodyBytes)
	if !ok {
		return nil
	}
	var request authv3.CheckRequest
	if err := proto.Unmarshal(text, &request); err != nil {
		t.Fatalf("decode reads what protobuf does not: %v", err)
	}
	want := envoy.Extract(&request, maxBodyBytes)
	faults := cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
	if diff := cmp.Diff(want, fast, cmpopts.EquateEmpty(), faults); diff != "" {
		t.Fatalf("decode reads another request (-protobuf +decode):\n%s", diff)
	}
	if (want.FilterMetadata == nil) != (fast.FilterMetadata == nil) || (want.RouteMetadata == nil) != (fast.RouteMetadata == nil) {
		t.Fatalf("decode takes metadata that is empty for absent, or the other way round: %+v, want %+v", fast, want)
	}
	return fast
}

// envoyRequest has everything that Envoy sets.
func envoyRequest() *authv3.CheckRequest {
	metadata := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		"envoy.filters.http.jwt_authn": {Fields: map[string]*structpb.Value{"n": structpb.NewNumberValue(1.5)}}}}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{
			Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
				Address: "10.1.2.3", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 65535}, Protocol: corev3.SocketAddress_UDP}}},
			Principal: "spiffe://example.org/web", Service: "web", Certificate: "-----BEGIN", Labels: map[string]string{"a": "b", "c": ""},
		},
		Destination: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: "/run/x"}}}},
		Request: &authv3.AttributeContext_Request{
			Time: &timestamppb.Timestamp{Seconds: 1_700_000_000, Nanos: 999_999_999},
			Http: &authv3.AttributeContext_HttpRequest{
				Id: "1", Method: "POST", Path: "/a/b?c=d", Host: "example.org", Scheme: "https", Query: "q", Fragment: "f", Protocol: "HTTP/1.1",
				Size: -1, Headers: map[string]string{":path": "/a/b?c=d", "X-Capital": "1", "empty": ""}, Body: strings.Repeat("b", 64),
			},
		},
		ContextExtensions:    map[string]string{"policy": "orders"},
		MetadataContext:      metadata,
		RouteMetadataContext: &corev3.Metadata{},
		TlsSession:           &authv3.AttributeContext_TLSSession{Sni: "example.org"},
	}}
}

func encoded(t testing.TB, request *authv3.CheckRequest) []byte {
	t.Helper()
	text, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestDecode(t *testing.T) {
	http := func(change func(*authv3.AttributeContext_HttpRequest)) *authv3.CheckRequest {
		request := envoyRequest()
		change(request.GetAttributes().GetRequest().GetHttp())
		return request
	}
	usual := encoded(t, envoyRequest())
	for name, tc := range map[string]struct {
		text []byte
		want string
	}{
		"all that Envoy sets": {text: usual},
		"raw headers, raw body": {text: encoded(t, http(func(h *authv3.AttributeContext_HttpRequest) {
			h.Headers, h.Body, h.RawBody = nil, "", []byte("\xff\x00")
			h.HeaderMap = &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: "Cookie", RawValue: []byte("a")}, {Key: "cookie", Value: "b"}}}
		}))},
		"network":             {text: encoded(t, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Source: envoyRequest().GetAttributes().GetSource()}})},
		"a bad path":          {text: encoded(t, http(func(h *authv3.AttributeContext_HttpRequest) { h.Path = "/%zz" }))},
		"a body over limit":   {text: encoded(t, http(func(h *authv3.AttributeContext_HttpRequest) { h.Body += "b" }))},
		"no attributes":       {text: nil, want: unusual},
		"two spellings":       {text: encoded(t, http(func(h *authv3.AttributeContext_HttpRequest) { h.Headers["x-capital"] = "2" })), want: unusual},
		"raw header not text": {text: encoded(t, http(func(h *authv3.AttributeContext_HttpRequest) { h.HeaderMap = rawHeader("\xff") })), want: unusual},
		"attributes twice":    {text: append(usual, usual...), want: unusual},
		"an unknown field":    {text: protowire.AppendVarint(protowire.AppendTag(usual, 30, protowire.VarintType), 1), want: unusual},
		"cut":                 {text: usual[:len(usual)-1], want: unusual},
		"no UTF-8":            {text: []byte(strings.Replace(string(usual), "POST", "PO\xffT", 1)), want: unusual},
	} {
		t.Run(name, func(t *testing.T) {
			fast := read(t, tc.text)
			if (fast == nil) != (tc.want == unusual) {
				t.Errorf("read %+v, want %q", fast, tc.want)
			}
		})
	}
}

func rawHeader(value string) *corev3.HeaderMap {
	return &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: "x", RawValue: []byte(value)}}}
}

// Whatever the bytes, decode reads what protobuf reads, or nothing.
func FuzzDecode(f *testing.F) {
	usual := encoded(f, envoyRequest())
	f.Add(usual)
	f.Add([]byte{})
	random := rand.New(rand.NewPCG(1, 2))
	for range 64 {
		broken := append([]byte(nil), usual...)
		for range 1 + random.IntN(3) {
			broken[random.IntN(len(broken))] = byte(random.Uint32())
		}
		f.Add(broken)
	}
	f.Fuzz(func(t *testing.T, text []byte) { read(t, text) })
}

// Messages that are valid and odd: fields that are missing, come twice, in another order, with another
// type, and all that at every depth.
func TestDecodeOddMessages(t *testing.T) {
	usual := encoded(t, envoyRequest())
	random := rand.New(rand.NewPCG(3, 4))
	decoded := 0
	const rounds = 20_000
	for range rounds {
		if read(t, odd(random, usual)) != nil {
			decoded++
		}
	}
	if decoded < rounds/10 || decoded > rounds*9/10 {
		t.Errorf("%d of %d were decoded: the messages are too odd, or not odd enough", decoded, rounds)
	}
}

func odd(random *rand.Rand, message []byte) []byte {
	var fields [][]byte
	for rest := message; len(rest) > 0; {
		number, kind, tag := protowire.ConsumeTag(rest)
		size := tag + protowire.ConsumeFieldValue(number, kind, rest[max(tag, 0):])
		if tag < 0 || size < tag {
			return message // a text
		}
		field := rest[:size]
		if content, n := protowire.ConsumeBytes(field[tag:]); kind == protowire.BytesType && n > 0 && random.IntN(2) == 0 {
			field = protowire.AppendBytes(protowire.AppendTag(nil, number, kind), odd(random, content))
		}
		if random.IntN(200) == 0 {
			field = protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), random.Uint64())
		}
		for range []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2}[random.IntN(19)] {
			fields = append(fields, field)
		}
		rest = rest[size:]
	}
	if random.IntN(4) == 0 {
		random.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	}
	return bytes.Join(fields, nil)
}

// BenchmarkRead compares the two ways to read a usual request.
func BenchmarkRead(b *testing.B) {
	text := encoded(b, envoyRequest())
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := envoy.Decode(string(text), 1<<20); !ok {
				b.Fatal("not read")
			}
		}
	})
	b.Run("protobuf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var request authv3.CheckRequest
			if err := proto.Unmarshal(text, &request); err != nil {
				b.Fatal(err)
			}
			envoy.Extract(&request, 1<<20)
		}
	})
}
