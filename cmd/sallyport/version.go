package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of Sallyport and of what decides in it",
		Long: `Print the version of Sallyport, the commit and the Go release that it was built from, and the
versions of the libraries that a decision rests on. A bug report should have all of these.`,
		Example: `  sallyport version`,
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return errors.New("this binary was built without its versions")
			}
			return writeVersion(cmd.OutOrStdout(), info)
		},
	}
}

// release is the version of a released binary, which the linker sets (see the Dockerfile).
var release string //nolint:gochecknoglobals // the linker can set nothing else

// version is Sallyport's own, for its traces.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	return versionOf(info)
}

// versionOf is the release, else what the build knows of the module.
func versionOf(info *debug.BuildInfo) string { return cmp.Or(release, info.Main.Version) }

// writeVersion leaves out what the build does not know: a test binary has no commit, for one.
func writeVersion(w io.Writer, info *debug.BuildInfo) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "sallyport\t%s\n", versionOf(info))
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if commit := settings["vcs.revision"]; commit != "" {
		fmt.Fprintf(table, "commit\t%s of %s%s\n", commit, settings["vcs.time"], uncommitted(settings))
	}
	fmt.Fprintf(table, "go\t%s %s/%s\n", info.GoVersion, settings["GOOS"], settings["GOARCH"])
	for _, part := range decisive() {
		for _, module := range info.Deps {
			if module.Path == part.path {
				fmt.Fprintf(table, "%s\t%s\n", part.name, replaced(module).Version)
			}
		}
	}
	return table.Flush()
}

type part struct{ name, path string }

// decisive are the modules that a decision rests on.
func decisive() []part {
	return []part{
		{"envoy api", "github.com/envoyproxy/go-control-plane/envoy"},
		{"grpc", "google.golang.org/grpc"},
		{"jwx", "github.com/lestrrat-go/jwx/v2"},
		{"opa", "github.com/open-policy-agent/opa"},
	}
}

func uncommitted(settings map[string]string) string {
	if settings["vcs.modified"] == "true" {
		return ", with changes"
	}
	return ""
}

func replaced(module *debug.Module) *debug.Module {
	if module.Replace != nil {
		return module.Replace
	}
	return module
}
