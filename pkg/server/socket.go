package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// A Socket says who may connect to a listener on a Unix socket.
type Socket struct {
	Mode fs.FileMode // 0: 0660
	UID  *int        // nil: the process's
	GID  *int        // nil: the process's
}

// listen binds an address.
func listen(ctx context.Context, address Address, socket Socket) (net.Listener, error) {
	if address.Network == "unix" {
		return socket.listen(ctx, address.Address)
	}
	var config net.ListenConfig
	return config.Listen(ctx, address.Network, address.Address)
}

// listen binds the socket under a name of its own, gives it mode and owner, and only then moves it to
// its place: at no moment can somebody connect who may not, and a socket that a killed process left
// behind is replaced without a gap.
func (s Socket) listen(ctx context.Context, path string) (net.Listener, error) {
	if err := vacant(ctx, path); err != nil {
		return nil, err
	}
	hidden := filepath.Join(filepath.Dir(path), "."+strconv.Itoa(os.Getpid()))
	if err := os.Remove(hidden); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "unix", hidden)
	if err != nil {
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) //nolint:errcheck // the network is unix
	place := &placed{Listener: listener, path: path}
	if err := s.give(hidden); err != nil {
		return nil, errors.Join(err, os.Remove(hidden), listener.Close())
	}
	if place.file, err = os.Lstat(hidden); err == nil {
		err = os.Rename(hidden, path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(hidden), listener.Close())
	}
	return place, nil
}

// give sets the owner before the mode, which may be for the owner alone.
func (s Socket) give(path string) error {
	uid, gid := -1, -1
	if s.UID != nil {
		uid = *s.UID
	}
	if s.GID != nil {
		gid = *s.GID
	}
	if uid != -1 || gid != -1 {
		if err := os.Chown(path, uid, gid); err != nil {
			return fmt.Errorf("give the socket its owner: %w", err)
		}
	}
	mode := s.Mode
	if mode == 0 {
		mode = 0o660
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("give the socket its mode: %w", err)
	}
	return nil
}

// vacant refuses a path where another process listens, or where something else is than a socket.
func vacant(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("%s is there, and is no socket", path)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("another process listens on %s", path), conn.Close())
	case errors.Is(err, syscall.ECONNREFUSED): // nobody listens any more: unix(7)
		return nil
	}
	return fmt.Errorf("whether another process listens cannot be told: %w", err)
}

// A placed listener takes its socket away when it is closed, and no other's.
type placed struct {
	net.Listener
	path string
	file fs.FileInfo
	once sync.Once
}

// Addr is the place where clients connect.
func (p *placed) Addr() net.Addr { return &net.UnixAddr{Name: p.path, Net: "unix"} }

// Close implements [net.Listener].
func (p *placed) Close() error {
	var err error
	p.once.Do(func() {
		if info, statErr := os.Lstat(p.path); statErr == nil && os.SameFile(info, p.file) {
			err = os.Remove(p.path)
		}
	})
	return errors.Join(err, p.Listener.Close())
}
