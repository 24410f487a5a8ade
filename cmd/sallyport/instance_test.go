package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

// An instance is a Sallyport in a process of its own. It can be killed, and comes back at the same
// address.
type instance struct {
	binary      string
	env         []string // beside ours
	dir         string   // of its configuration, and of what that names
	grpc, admin *net.TCPAddr
	messages    *output

	command *exec.Cmd
	done    chan struct{} // closed when the process has ended
	err     error         // of the process; read after done
}

// sallyportBinary is what SALLYPORT names, as in hack/soak; otherwise this test's own binary, raced where
// the test is.
func sallyportBinary(t *testing.T) string {
	t.Helper()
	if binary := os.Getenv("SALLYPORT"); binary != "" {
		return binary
	}
	binary, err := exec.LookPath("sallyport") // which testscript has put there
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// newInstance has a configuration of testdata, with edits in it.
func newInstance(t *testing.T, file string, edits ...edit) *instance {
	t.Helper()
	i := &instance{binary: sallyportBinary(t), dir: t.TempDir(), grpc: freeAddr(t), admin: freeAddr(t), messages: newOutput()}
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range append(edits, edit{"127.0.0.1:9191", i.grpc.String()}, edit{"127.0.0.1:9192", i.admin.String()}) {
		if !bytes.Contains(text, []byte(e.old)) {
			t.Fatalf("%s has no %q", file, e.old)
		}
		text = bytes.ReplaceAll(text, []byte(e.old), []byte(e.with))
	}
	i.configure(t, string(text))
	t.Cleanup(func() { i.end(t) })
	return i
}

func freeAddr(t *testing.T) *net.TCPAddr {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", envoytest.Loopback(freePort(t)))
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func (i *instance) path(name string) string { return filepath.Join(i.dir, name) }

// configuration is the file as it is.
func (i *instance) configuration(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(i.path("sallyport.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// configure replaces the file as a whole.
func (i *instance) configure(t *testing.T, text string) {
	t.Helper()
	i.write(t, "sallyport.yaml", text)
}

// write replaces a file beside the configuration as a whole.
func (i *instance) write(t *testing.T, name, text string) {
	t.Helper()
	file := i.path(name)
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// start runs the process, and waits until it listens.
func (i *instance) start(t *testing.T) {
	t.Helper()
	i.command = exec.CommandContext(context.WithoutCancel(t.Context()), i.binary, "serve", "--config", i.path("sallyport.yaml"))
	i.command.Env = append(os.Environ(), i.env...)
	i.command.Stdout, i.command.Stderr = i.messages, i.messages
	if err := i.command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	i.done = done
	go func() {
		i.err = i.command.Wait()
		close(done)
	}()
	until(t, "the instance listens", func() bool {
		_, text := i.get(t, "/healthz")
		return text != "" || i.ended()
	})
	if i.ended() {
		t.Fatalf("the instance ended while it started: %v\n%s", i.err, i.messages.tail())
	}
}

// ended tells whether the process is no more.
func (i *instance) ended() bool {
	select {
	case <-i.done:
		return true
	default:
		return false
	}
}

// kill ends the process as nothing else does.
func (i *instance) kill(t *testing.T) {
	t.Helper()
	if err := i.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-i.done
}

// terminate ends the process as an orchestrator does, and tells how long that took.
func (i *instance) terminate(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	if err := i.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-i.done:
	case <-time.After(2 * patience):
		t.Fatal("the instance does not end")
	}
	if i.err != nil {
		t.Errorf("the instance ended with %v", i.err)
	}
	return time.Since(begin)
}

// end is what a test does at last: no panic and no race was told of.
func (i *instance) end(t *testing.T) {
	if i.command != nil && !i.ended() {
		i.kill(t)
	}
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(i.messages.String(), bad) {
			t.Errorf("the instance wrote %q:\n%s", bad, i.messages)
		}
	}
	if t.Failed() {
		t.Logf("the instance wrote:\n%s", i.messages.tail())
	}
}

// get reads a page of the admin listener; "" where it does not answer.
func (i *instance) get(t *testing.T, path string) (status int, text string) {
	t.Helper()
	resp, err := http1().Get("http://" + i.admin.String() + path)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(body)
}

// says waits until a page of the admin listener has a text.
func (i *instance) says(t *testing.T, path, want string) {
	t.Helper()
	until(t, path+" says "+want, func() bool {
		_, text := i.get(t, path)
		return strings.Contains(text, want)
	})
}

// metric is the sum of all series whose name with its attributes has each of the parts.
func (i *instance) metric(t *testing.T, parts ...string) float64 {
	t.Helper()
	_, text := i.get(t, "/metrics")
	return total(text, parts...)
}

// resident is the memory of a process, in MiB.
func (i *instance) resident(t *testing.T) int {
	t.Helper()
	memory, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", i.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(memory))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize() >> 20
}

// files are how many a process has open, connections among them.
func (i *instance) files(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", i.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// total adds up the series of a page of metrics whose name with its attributes has each of the parts.
func total(page string, parts ...string) (sum float64) {
	for line := range strings.Lines(page) {
		series, value, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found || strings.HasPrefix(line, "#") || !hasAll(series, parts) {
			continue
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			sum += n
		}
	}
	return sum
}

func hasAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
