package envoytest

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// A Raw message is sent as it is: what somebody would send who does not care for protobuf.
type Raw []byte

// A RawCodec is protobuf's codec that sends [Raw] messages too. It is for grpc.ForceCodec.
type RawCodec struct{}

// Name implements [encoding.Codec] of gRPC.
func (RawCodec) Name() string { return "proto" }

// Marshal implements [encoding.Codec] of gRPC.
func (RawCodec) Marshal(v any) ([]byte, error) {
	switch m := v.(type) {
	case Raw:
		return m, nil
	case proto.Message:
		return proto.Marshal(m)
	}
	return nil, fmt.Errorf("envoytest: cannot send a %T", v)
}

// Unmarshal implements [encoding.Codec] of gRPC.
func (RawCodec) Unmarshal(data []byte, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("envoytest: cannot receive a %T", v)
	}
	return proto.Unmarshal(data, m)
}
