package policy_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// shopDescriptors is a file with the descriptor set of shop.v1.Orders.
func shopDescriptors(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "grpc", "shop.txtpb"))
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := prototext.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	return descriptorFile(t, &set)
}

func descriptorFile(t testing.TB, set *descriptorpb.FileDescriptorSet) string {
	t.Helper()
	raw, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "set.pb")
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// framed puts gRPC's prefix before a message.
func framed(flag byte, message string) string {
	return string(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(message)))) + message
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func text(field protowire.Number, value string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), value))
}

func varint(field protowire.Number, value uint64) string {
	return string(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), value))
}

func call(t testing.TB, path, contentType, encoding, raw string) *authz.Request {
	t.Helper()
	req := get(t, path)
	req.HTTP.Method, req.HTTP.RawBody = "POST", []byte(raw)
	req.HTTP.Headers["content-type"] = []string{contentType}
	if encoding != "" {
		req.HTTP.Headers["grpc-encoding"] = []string{encoding}
	}
	return req
}

const place = "/shop.v1.Orders/Place"

func TestGRPCBody(t *testing.T) {
	type object = map[string]any
	ann := text(1, "ann")
	extra := text(7, text(1, "type.googleapis.com/shop.v1.Order")+text(2, ann))
	all := ann + varint(2, 1<<53+1) + varint(3, 7) + varint(4, 1) + text(5, "\xff") + text(6, text(1, "bob")) + extra + varint(8, 1) + varint(99, 1)
	tests := []struct {
		name, path, contentType, encoding, raw string
		want                                   any
		wantTruncated                          bool
	}{
		{name: "every kind of field", raw: framed(0, all), want: object{
			"customerName": "ann", "cents": "9007199254740993", "count": 7.0, "size": "SIZE_LARGE", "key": "/w==", "Express": true,
			"items": []any{object{"customerName": "bob"}},
			"extra": object{"@type": "type.googleapis.com/shop.v1.Order", "customerName": "ann"},
		}},
		{
			name: "an Any of protobuf's own", raw: framed(0, text(7, text(1, "googleapis.com/google.protobuf.Duration")+text(2, varint(1, 30)))),
			want: object{"extra": object{"@type": "googleapis.com/google.protobuf.Duration", "value": "30s"}},
		},
		{name: "an extension", path: "/old.Orders/Place", raw: framed(0, text(1, "7")+text(100, "soon")), want: object{"id": "7", "[old.note]": "soon"}},
		{name: "an empty message", raw: framed(0, ""), want: object{}},
		{name: "no body"},
		{name: "the last of two values", raw: framed(0, ann+text(1, "bob")), want: object{"customerName": "bob"}},
		{name: "an enum's unknown number", raw: framed(0, varint(4, 9)), want: object{"size": 9.0}},
		{name: "named protobuf", contentType: "application/grpc+proto", raw: framed(0, ann), want: object{"customerName": "ann"}},
		{name: "in other letters", contentType: "Application/gRPC; charset=utf-8", raw: framed(0, ann), want: object{"customerName": "ann"}},
		{name: "gRPC-Web", contentType: "application/grpc-web+proto", raw: framed(0, ann), want: object{"customerName": "ann"}},
		{name: "a stream of answers", path: "/shop.v1.Orders/Watch", raw: framed(0, ann), want: object{"customerName": "ann"}},
		{name: "a stream of messages", path: "/shop.v1.Orders/PlaceMany", raw: framed(0, ann) + framed(0, ann)},
		{name: "an unknown service", path: "/shop.v1.Other/Place", raw: framed(0, ann)},
		{name: "an unknown method", path: "/shop.v1.Orders/Other", raw: framed(0, ann)},
		{name: "a message in the place of a service", path: "/shop.v1.Order/Place", raw: framed(0, ann)},
		{name: "a name that is none", path: "/./Place", raw: framed(0, ann)},
		{name: "cut", raw: framed(0, ann)[:7], wantTruncated: true},
		{name: "cut behind the prefix", raw: framed(0, ann)[:5], wantTruncated: true},
		{name: "longer than can be", raw: "\x00\xff\xff\xff\xff", wantTruncated: true},
		{name: "compressed with gzip", encoding: "gzip", raw: framed(1, gzipped(t, ann)), want: object{"customerName": "ann"}},
		{name: "not compressed though it might be", encoding: "gzip", raw: framed(0, ann), want: object{"customerName": "ann"}},
		{name: "compressed, and nobody says how", raw: framed(1, gzipped(t, ann))},
		{name: "compressed with identity", encoding: "identity", raw: framed(1, ann)},
		{name: "another type", contentType: "application/grpcweb", raw: framed(0, ann)},
	}
	e := configured(t, showInput, policy.Config{ProtoDescriptor: shopDescriptors(t)})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path == "" {
				tt.path = place
			}
			if tt.contentType == "" {
				tt.contentType = "application/grpc"
			}
			wantBody(t, e, call(t, tt.path, tt.contentType, tt.encoding, tt.raw), tt.want, tt.wantTruncated)
		})
	}
}

func TestGRPCBodyRefused(t *testing.T) {
	ann := text(1, "ann")
	tests := []struct {
		name, path, contentType, encoding, raw string
		wantReason                             authz.Reason
		wantText                               string
	}{
		{name: "shorter than a prefix", raw: "\x00\x00", wantText: "gRPC: shorter than the prefix of a message"},
		{name: "a prefix cut short", raw: "\x00\x00\x00\x00", wantText: "gRPC: shorter than the prefix of a message"},
		{name: "without a required field", path: "/old.Orders/Place", raw: framed(0, ""), wantText: "gRPC: not the message that the method takes"},
		{name: "an unknown flag", raw: framed(2, ann), wantText: "gRPC: an unknown flag before the message"},
		{name: "two messages", raw: framed(0, ann) + framed(0, ann), wantText: "gRPC: more than one message to a method that takes one"},
		{name: "something behind the message", raw: framed(0, ann) + "x", wantText: "gRPC: more than one message to a method that takes one"},
		{name: "no protobuf", raw: framed(0, "\xff"), wantText: "gRPC: not the message that the method takes"},
		{name: "text that is not UTF-8", raw: framed(0, text(1, "\xff")), wantText: "gRPC: not the message that the method takes"},
		{name: "nested without end", raw: framed(0, nested(20_000)), wantText: "gRPC: not the message that the method takes"},
		{name: "an Any of an unknown type", raw: framed(0, text(7, text(1, "a/b.C"))), wantText: "gRPC: a message that has no form in JSON"},
		{name: "no method in the path", path: "/shop.v1.Orders", raw: framed(0, ann), wantText: "gRPC: the path names no method"},
		{name: "more than a method in the path", path: place + "/x", raw: framed(0, ann), wantText: "gRPC: the path names no method"},
		{name: "JSON in gRPC", contentType: "application/grpc+json", raw: framed(0, "{}"), wantText: "gRPC: its media type says that it is no plain protobuf"},
		{name: "gRPC-Web in base64", contentType: "application/grpc-web-text", raw: "AAAAAAA=", wantText: "gRPC: an unknown flag before the message"},
		{name: "not the base64 that it says", contentType: "application/grpc-web-text+proto", raw: framed(0, ann), wantText: "gRPC: its media type says that it is no plain protobuf"},
		{name: "an unknown compression", encoding: "zstd", raw: framed(1, ann), wantText: "gRPC: a compression other than gzip"},
		{name: "no compression", encoding: "gzip", raw: framed(1, ann), wantText: "gRPC: the compression is broken"},
		{name: "half a compression", encoding: "gzip", raw: framed(1, gzipped(t, ann)[:15]), wantText: "gRPC: the compression is broken"},
		{
			name: "a bomb", encoding: "gzip", raw: framed(1, gzipped(t, strings.Repeat("x", 1<<20+1))),
			wantReason: authz.RequestTooLarge, wantText: "a compressed gRPC message of more than 1048576 bytes, without the compression",
		},
	}
	e := configured(t, "allow := true", policy.Config{ProtoDescriptor: shopDescriptors(t)})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path == "" {
				tt.path = place
			}
			if tt.contentType == "" {
				tt.contentType = "application/grpc"
			}
			refused(t, e, call(t, tt.path, tt.contentType, tt.encoding, tt.raw), tt.wantReason, tt.wantText)
		})
	}
	t.Run("without pack_as_bytes", func(t *testing.T) {
		req := call(t, place, "application/grpc", "", "")
		req.HTTP.Body = framed(0, "!!!")
		refused(t, e, req, "", "gRPC: it came as text: Envoy's with_request_body needs pack_as_bytes: true")
	})
}

func refused(t *testing.T, e *policy.Engine, req *authz.Request, reason authz.Reason, text string) {
	t.Helper()
	if reason == "" {
		reason = authz.BodyMalformed
	}
	d, err := e.Decide(t.Context(), req, authz.Identity{})
	if err == nil {
		t.Fatalf("got %+v, want a refusal", d)
	}
	if got := authz.ReasonOf(err); got != reason || err.Error() != "policy: read body: "+text {
		t.Errorf("reason %q, error %q", got, err)
	}
}

// nested is an Order in an Order in an Order.
func nested(depth int) string {
	message := ""
	for range depth {
		message = text(6, message)
	}
	return message
}

// FuzzGRPCBody looks for bytes that are neither read nor refused.
func FuzzGRPCBody(f *testing.F) {
	for _, raw := range []string{framed(0, text(1, "ann")), framed(0, text(7, text(1, "a/shop.v1.Order")+text(2, text(1, "x")))), framed(1, gzipped(f, varint(2, 1)))} {
		f.Add("gzip", []byte(raw))
	}
	e := configured(f, showInput, policy.Config{ProtoDescriptor: shopDescriptors(f)})
	f.Fuzz(func(t *testing.T, encoding string, raw []byte) {
		got, err := input(t, e, call(t, place, "application/grpc", encoding, string(raw)), authz.Identity{})
		switch authz.ReasonOf(err) {
		case authz.BodyMalformed, authz.RequestTooLarge:
		case authz.PolicyAnswerInvalid: // nested too deep to be shown, or an encoding that is not UTF-8
		default:
			if _, read := got["parsed_body"].(map[string]any); err != nil || read && len(raw) < 5 {
				t.Errorf("%v, error %v", got["parsed_body"], err)
			}
		}
	})
}
