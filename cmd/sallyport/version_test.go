package main

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteVersion(t *testing.T) {
	tests := []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{
			name: "a release",
			info: debug.BuildInfo{
				GoVersion: "go1.26.8",
				Main:      debug.Module{Version: "v1.2.3"},
				Settings: []debug.BuildSetting{
					{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"},
					{Key: "vcs.revision", Value: "abc123"}, {Key: "vcs.time", Value: "2026-11-01T10:00:00Z"}, {Key: "vcs.modified", Value: "false"},
				},
				Deps: []*debug.Module{
					{Path: "github.com/open-policy-agent/opa", Version: "v1.22.2"},
					{Path: "github.com/lestrrat-go/jwx/v2", Version: "v2.1.7", Replace: &debug.Module{Path: "../jwx", Version: "v2.9.9"}},
					{Path: "example.com/other", Version: "v9.9.9"},
				},
			},
			want: "sallyport  v1.2.3\n" +
				"commit     abc123 of 2026-11-01T10:00:00Z\n" +
				"go         go1.26.8 linux/arm64\n" +
				"jwx        v2.9.9\n" +
				"opa        v1.22.2\n",
		},
		{
			name: "a working tree",
			info: debug.BuildInfo{
				GoVersion: "go1.26.8",
				Main:      debug.Module{Version: "(devel)"},
				Settings: []debug.BuildSetting{
					{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "amd64"},
					{Key: "vcs.revision", Value: "abc123"}, {Key: "vcs.time", Value: "2026-11-01T10:00:00Z"}, {Key: "vcs.modified", Value: "true"},
				},
			},
			want: "sallyport  (devel)\n" +
				"commit     abc123 of 2026-11-01T10:00:00Z, with changes\n" +
				"go         go1.26.8 linux/amd64\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got strings.Builder
			if err := writeVersion(&got, &test.info); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
