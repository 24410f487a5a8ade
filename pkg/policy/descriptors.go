package policy

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "google.golang.org/protobuf/types/known/anypb" // this and those below for [types]
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/emptypb"
	_ "google.golang.org/protobuf/types/known/fieldmaskpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
	_ "google.golang.org/protobuf/types/known/wrapperspb"
)

// Descriptors know the gRPC services whose messages policy sees. They are immutable.
type descriptors struct {
	files *protoregistry.Files
	types types

	maxMessage int64 // of a message that was compressed
	digest     string
}

// Types find extensions, and what an Any holds: a message of the set, or one that is part of
// protobuf itself, which a set has only where a file imports it.
type types struct{ *dynamicpb.Types }

func (t types) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	found, err := t.Types.FindMessageByURL(url)
	if err == nil || !strings.HasPrefix(url[strings.LastIndexByte(url, '/')+1:], "google.protobuf.") {
		return found, err
	}
	return protoregistry.GlobalTypes.FindMessageByURL(url)
}

func parseDescriptors(raw []byte) (*descriptors, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		return nil, errors.New("no FileDescriptorSet: protoc writes one with --descriptor_set_out, buf build with -o")
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("%w (protoc needs --include_imports)", err)
	}
	services := 0
	files.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		services += file.Services().Len()
		return true
	})
	if services == 0 {
		return nil, errors.New("no service in the descriptor set")
	}
	return &descriptors{files: files, types: types{dynamicpb.NewTypes(files)}}, nil
}

// addDescriptors reads the descriptor set, if there is one. It belongs to what decides, and so to
// the revision.
func (s *source) addDescriptors(config Config) error {
	name := config.ProtoDescriptor
	if name == "" {
		return nil
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return mistake("protoDescriptor", "%w", err)
	}
	if s.bodies.descriptors, err = parseDescriptors(raw); err != nil {
		return mistake("protoDescriptor", "%s: %w", name, err)
	}
	s.bodies.descriptors.maxMessage = config.MaxBodyBytes
	s.bodies.descriptors.digest = digest([]byte("descriptors"), raw)
	s.loose = append(s.loose, s.bodies.descriptors.digest)
	return nil
}
