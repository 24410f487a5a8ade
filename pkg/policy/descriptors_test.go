package policy_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

func TestProtoDescriptorRefused(t *testing.T) {
	dir := write(t, map[string]string{"allow.rego": "package envoy.authz\n\nallow := true", "shop.proto": `syntax = "proto3";`, "empty.pb": ""})
	lonely := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		{Name: new("a.proto"), Dependency: []string{"b.proto"}, Syntax: new("proto3")},
	}}
	for name, tt := range map[string]struct{ file, want string }{
		"absent":         {filepath.Join(dir, "absent.pb"), "no such file"},
		"a directory":    {dir, "is a directory"},
		"a source":       {filepath.Join(dir, "shop.proto"), "shop.proto: no FileDescriptorSet: protoc writes one with --descriptor_set_out"},
		"empty":          {filepath.Join(dir, "empty.pb"), "no service in the descriptor set"},
		"without import": {descriptorFile(t, lonely), `"b.proto": not found (protoc needs --include_imports)`},
	} {
		t.Run(name, func(t *testing.T) {
			err := policy.Validate(t.Context(), policy.Config{Files: []string{filepath.Join(dir, "allow.rego")}, ProtoDescriptor: tt.file})
			of := (*policy.ConfigError)(nil)
			if !errors.As(err, &of) || of.Path != "protoDescriptor" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one of protoDescriptor with %q", err, tt.want)
			}
		})
	}
}

// TestProtoDescriptorWatched has a policy in a bundle archive, and a descriptor set that changes.
func TestProtoDescriptorWatched(t *testing.T) {
	file := filepath.Join(t.TempDir(), "set.pb")
	whole, err := os.ReadFile(shopDescriptors(t))
	if err != nil {
		t.Fatal(err)
	}
	put(t, file, string(whole))
	dir := write(t, map[string]string{"allow.rego": "package envoy.authz\n\n" + showInput})
	e, j := started(t, policy.Config{Files: []string{dir}, ProtoDescriptor: file})
	j.await(t, "policy loaded")
	before := e.Revision()
	put(t, file, "no set")
	j.await(t, "policy refused, the old one stays")
	put(t, file, strings.Replace(string(whole), "customerName", "customerNome", 1))
	j.await(t, "policy loaded")
	if e.Revision() == before {
		t.Errorf("revision %q stays", before)
	}
	got, err := input(t, e, call(t, place, "application/grpc", "", framed(0, text(1, "ann"))), authz.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := got["parsed_body"].(map[string]any); body["customerNome"] != "ann" {
		t.Errorf("parsed_body %v", got["parsed_body"])
	}
}

func TestSkipRequestBodyParse(t *testing.T) {
	e := configured(t, showInput, policy.Config{SkipRequestBodyParse: true})
	for name, req := range map[string]*authz.Request{
		"whole": post(t, "application/json", `{"a": 1}`), "broken": post(t, "application/json", `{"a"`), "none": get(t, "/"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := input(t, e, req, authz.Identity{})
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"parsed_body", "truncated_body"} {
				if value, there := got[key]; there {
					t.Errorf("%s is %v", key, value)
				}
			}
			if _, there := got["parsed_path"]; !there {
				t.Error("no parsed_path")
			}
		})
	}
}
