package policy

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/sallyport/sallyport/pkg/authz"
)

// isGRPC tells gRPC and gRPC-Web, whatever they carry.
func isGRPC(mediaType string) bool {
	protocol, _, _ := strings.Cut(mediaType, "+")
	return protocol == "application/grpc" || protocol == "application/grpc-web" || protocol == "application/grpc-web-text"
}

// read makes JSON of the message of a unary call, as protojson does: fields in lowerCamelCase,
// absent where unset; 64-bit integers and enums are strings, bytes base64.
//
// As in opa-envoy-plugin it is null without a descriptor set, of a method that the set does not
// have, and of one that takes a stream. It is null, too, of a message that says it is compressed
// where no header says how, since every server refuses that one. Whatever else cannot be read is
// refused, for the reason that [bodyReader.read] gives.
func (d *descriptors) read(h *authz.HTTP, mediaType string) (parsed ast.Value, truncated bool, err error) {
	if d == nil {
		return ast.NullValue, false, nil
	}
	if len(h.RawBody) == 0 {
		return nil, false, malformedGRPC("it came as text: Envoy's with_request_body needs pack_as_bytes: true")
	}
	first, err := cutFrame(h.RawBody)
	if err != nil || first.cut {
		return ast.NullValue, first.cut, err
	}
	input, err := d.input(h.Path.Segments)
	if err != nil || input == nil {
		return ast.NullValue, false, err
	}
	message, err := first.unary(mediaType, h.Headers.Joined("grpc-encoding"), d.maxMessage)
	if err != nil || message == nil {
		return ast.NullValue, false, err
	}
	parsed, err = d.decode(input, message)
	return parsed, false, err
}

// A frame is the first length-prefixed message of a body (gRPC over HTTP/2, Length-Prefixed-Message).
type frame struct {
	compressed bool
	message    []byte
	more       bool // there is something behind it
	cut        bool // its end is missing
}

const prefixSize = 5 // a flag and the length, in four bytes

func cutFrame(body []byte) (frame, error) {
	if len(body) < prefixSize {
		return frame{}, malformedGRPC("shorter than the prefix of a message")
	}
	if body[0] > 1 {
		return frame{}, malformedGRPC("an unknown flag before the message")
	}
	length := uint64(binary.BigEndian.Uint32(body[1:prefixSize]))
	rest := body[prefixSize:]
	if length > uint64(len(rest)) {
		return frame{cut: true}, nil
	}
	return frame{compressed: body[0] == 1, message: rest[:length], more: length < uint64(len(rest))}, nil
}

// unary is the one message of a unary call, not nil though it may be empty; nil where the upstream
// cannot read it either.
func (f frame) unary(mediaType, encoding string, limit int64) ([]byte, error) {
	_, carries, named := strings.Cut(mediaType, "+")
	switch {
	case named && carries != "proto", strings.HasPrefix(mediaType, "application/grpc-web-text"):
		return nil, malformedGRPC("its media type says that it is no plain protobuf")
	case f.more:
		return nil, malformedGRPC("more than one message to a method that takes one")
	case !f.compressed:
		return f.message, nil
	case encoding == "" || encoding == "identity":
		return nil, nil // gRPC, compression.md: such a message MUST be answered with INTERNAL
	case encoding == "gzip":
		return gunzip(f.message, limit)
	}
	return nil, malformedGRPC("a compression other than gzip")
}

// gunzip stops at the limit of every other body: a few bytes of gzip can be very many of protobuf, each
// of which takes hundreds in memory.
func gunzip(compressed []byte, limit int64) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, malformedGRPC("the compression is broken")
	}
	message, err := io.ReadAll(io.LimitReader(reader, limit+1))
	switch {
	case err != nil:
		return nil, malformedGRPC("the compression is broken")
	case int64(len(message)) > limit:
		return nil, refuse(authz.RequestTooLarge, "read body: a compressed gRPC message of more than %d bytes, without the compression", limit)
	}
	return message, nil
}

// input is what a method takes, by its path /package.Service/Method; nil where it is unknown or a
// stream.
func (d *descriptors) input(segments []string) (protoreflect.MessageDescriptor, error) {
	if len(segments) != 2 {
		return nil, malformedGRPC("the path names no method")
	}
	found, err := d.files.FindDescriptorByName(protoreflect.FullName(segments[0]))
	service, ok := found.(protoreflect.ServiceDescriptor)
	if err != nil || !ok {
		return nil, nil //nolint:nilerr // not found
	}
	method := service.Methods().ByName(protoreflect.Name(segments[1]))
	if method == nil || method.IsStreamingClient() {
		return nil, nil
	}
	return method.Input(), nil
}

func (d *descriptors) decode(of protoreflect.MessageDescriptor, raw []byte) (ast.Value, error) {
	message := dynamicpb.NewMessage(of)
	if err := (proto.UnmarshalOptions{Resolver: d.types}).Unmarshal(raw, message); err != nil {
		return nil, malformedGRPC("not the message that the method takes")
	}
	text, err := protojson.MarshalOptions{Resolver: d.types}.Marshal(message)
	if err != nil {
		return nil, malformedGRPC("a message that has no form in JSON")
	}
	return parseJSON(string(text))
}

// malformedGRPC does not repeat the decoder's words, which may quote the message.
func malformedGRPC(what string) error {
	return refuse(authz.BodyMalformed, "read body: gRPC: %w", errors.New(what))
}
