package server_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sallyport/sallyport/pkg/server"
)

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	address := server.Address{Network: "unix", Address: path}
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false) // as if the process had been killed
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}

	start(t, server.Config{GRPC: address})
	health := healthpb.NewHealthClient(connect(t, "unix://"+path, insecure.NewCredentials()))
	if _, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("over the socket that replaced a stale one: %v", err)
	}
	if _, err := server.New(t.Context(), server.Config{GRPC: address, Register: func(grpc.ServiceRegistrar) {}}); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a second server on the socket: %v", err)
	}
}

// A socket has the mode and the owner that it should have, and is taken away at the end.
func TestSocketModeAndOwner(t *testing.T) {
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 4321, 1234
	}
	for name, tc := range map[string]struct {
		socket   server.Socket
		wantMode os.FileMode
		wantUID  int
		wantGID  int
	}{
		"none":  {server.Socket{}, 0o660, os.Getuid(), os.Getgid()},
		"mode":  {server.Socket{Mode: 0o600}, 0o600, os.Getuid(), os.Getgid()},
		"owner": {server.Socket{Mode: 0o620, UID: &uid, GID: &gid}, 0o620, uid, gid},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "s.sock")
			_, stop := start(t, server.Config{GRPC: server.Address{Network: "unix", Address: path}, Socket: tc.socket})
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if stat := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != tc.wantMode || int(stat.Uid) != tc.wantUID || int(stat.Gid) != tc.wantGID {
				t.Errorf("mode %v, owner %d:%d", info.Mode().Perm(), stat.Uid, stat.Gid)
			}
			stop()
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// What is no socket is no rest of ours.
func TestNoSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := server.New(t.Context(), server.Config{
		GRPC: server.Address{Network: "unix", Address: path}, Register: func(grpc.ServiceRegistrar) {},
	})
	if err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("error %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

// A socket that somebody else has put in our place is theirs.
func TestSocketOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	_, stop := start(t, server.Config{GRPC: server.Address{Network: "unix", Address: path}})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	stop()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("another's socket was taken away: %v", err)
	}
}
