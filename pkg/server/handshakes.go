package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// handshakesInterval is how often a refused client is told of, at most: anybody can be refused.
const handshakesInterval = time.Second

// handshakes tell in the log whom TLS refused. Such a client has made no check, so there is no other
// record; all that Envoy says is that nobody could be asked.
type handshakes struct {
	credentials.TransportCredentials
	setting string
	logger  *slog.Logger
	now     func() time.Time

	mu     sync.Mutex
	last   time.Time // when one was told of
	untold int       // since then
}

// ServerHandshake implements [credentials.TransportCredentials].
func (h *handshakes) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secure, info, err := h.TransportCredentials.ServerHandshake(conn)
	if err != nil && !errors.Is(err, io.EOF) { // who hangs up at once, as a port scan does, wanted nothing
		h.tell(conn.RemoteAddr(), err)
	}
	return secure, info, err
}

func (h *handshakes) tell(peer net.Addr, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.now(); now.Sub(h.last) >= handshakesInterval {
		h.logger.Warn("a client was refused by TLS", "setting", h.setting, "peer", peer.String(), "error", err, "untold", h.untold)
		h.last, h.untold = now, 0
		return
	}
	h.untold++
}
