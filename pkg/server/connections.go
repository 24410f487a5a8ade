package server

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
)

// A limited listener holds at most so many connections. One more is closed at once, before it costs
// a handshake: a client that hears this goes elsewhere, one that waits in line does not.
type limited struct {
	net.Listener
	most   atomic.Int64
	open   atomic.Int64
	logger *slog.Logger
}

// Accept implements [net.Listener].
func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if open := l.open.Add(1); open <= l.most.Load() {
			return &counted{Conn: conn, listener: l}, nil
		}
		l.open.Add(-1)
		l.logger.Warn("a connection was closed: as many as limits.connections are open", "peer", conn.RemoteAddr().String())
		conn.Close()
	}
}

// A counted connection counts until it is closed.
type counted struct {
	net.Conn
	listener *limited
	once     sync.Once
}

// Close implements [net.Conn].
func (c *counted) Close() error {
	c.once.Do(func() { c.listener.open.Add(-1) })
	return c.Conn.Close()
}
