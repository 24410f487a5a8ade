package manifests_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

const composeDir = deploy + "/compose"

func compose(t *testing.T, text string) (*types.Project, error) {
	t.Helper()
	dir, err := filepath.Abs(composeDir)
	if err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "compose.yaml"), Content: []byte(text)}},
	})
}

func TestCompose(t *testing.T) {
	project, err := compose(t, read(t, composeDir+"/compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range project.Services {
		for _, volume := range service.Volumes {
			if matches, err := filepath.Glob(volume.Source); err != nil || len(matches) != 1 {
				t.Errorf("%s mounts %s, which is not there", service.Name, volume.Source)
			}
		}
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s to %q", service.Name, port.Published, port.HostIP)
			}
		}
		if service.Name != "envoy" && service.NetworkMode != "service:envoy" {
			t.Errorf("%s is not on Envoy's loopback", service.Name)
		}
	}
	if _, err := config.Load(composeDir + "/sallyport/config.yaml"); err != nil {
		t.Error(err)
	}
}

func TestComposeRefuses(t *testing.T) {
	text := read(t, composeDir+"/compose.yaml")
	for name, planted := range map[string]string{
		"an unknown field":         strings.Replace(text, "    user: envoy\n", "    doors: 2\n", 1),
		"a service that is not":    strings.ReplaceAll(text, "network_mode: service:envoy", "depends_on: [doors]"),
		"a member of another type": strings.Replace(text, "read_only: true", "read_only: [1]", 1),
	} {
		if _, err := compose(t, planted); planted == text || err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// What the container makes of deploy/envoy/envoy.yaml is what Envoy takes, and reachable from outside.
func TestComposeBootstrap(t *testing.T) {
	project, err := compose(t, read(t, composeDir+"/compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	expression := regexp.MustCompile(`^sed '([^']+)' /etc/sallyport/envoy.yaml >/tmp/envoy.yaml && exec envoy -c /tmp/envoy.yaml$`).
		FindStringSubmatch(strings.Join(project.Services["envoy"].Command, " "))
	if expression == nil {
		t.Fatalf("the command is %q", project.Services["envoy"].Command)
	}
	reachable(t, "sed '"+expression[1]+"' deploy/envoy/envoy.yaml")
}

// So is what the page for Kubernetes makes of it.
func TestKubernetesBootstrap(t *testing.T) {
	page := read(t, deploy+"/kubernetes/README.md")
	command := regexp.MustCompile(`(?s)    (sed -e [^>]* deploy/envoy/envoy.yaml) >envoy.yaml`).FindStringSubmatch(page)
	if command == nil {
		t.Fatal("the page makes no bootstrap")
	}
	text := reachable(t, command[1])
	if !strings.Contains(text, "address: {pipe: {path: /run/sallyport/grpc.sock}}") {
		t.Error("Envoy does not ask the socket of sidecar.yaml")
	}
}

// reachable gives a bootstrap that a command of a page prints, with one listener on every address.
func reachable(t *testing.T, command string) string {
	t.Helper()
	shell := exec.CommandContext(t.Context(), "sh", "-c", command)
	shell.Dir = deploy + "/.."
	text, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "address: 0.0.0.0"); n != 1 {
		t.Errorf("%d listeners are reachable, want 1", n)
	}
	if err := envoytest.Validate(t.Context(), envoytest.Options{Binary: envoyBinary(t), Config: string(text)}); err != nil {
		t.Error(err)
	}
	return string(text)
}
