package main

import (
	"io/fs"
	"log/slog"
	"os/user"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/envoy"
	"github.com/sallyport/sallyport/pkg/server"
)

// serverConfig is how the line listens. Of this only the load is changed by a reload.
func (l *line) serverConfig(cfg *config.Config) (server.Config, error) {
	socket, err := listenSocket(cfg)
	return server.Config{
		GRPC:       server.Address(cfg.Listen.GRPC),
		Admin:      server.Address(cfg.Listen.Admin),
		TLS:        (*server.TLS)(cfg.Listen.TLS),
		AdminTLS:   (*server.TLS)(cfg.Listen.AdminTLS),
		Socket:     socket,
		Register:   l.service.Register,
		Services:   []string{envoy.ServiceName},
		Options:    append(l.stages().service.Options(), l.watched.Options()...),
		Reflection: cfg.Listen.Reflection,
		Ready:      func() error { return l.stages().ready() },
		Trouble:    l.troubles,
		Metrics:    l.watched.Metrics(),
		Inspect:    inspectHandler(l.inspection),
		Limits: server.Limits{
			Streams:       uint32(cfg.Limits.Streams),     //nolint:gosec // at most 1e9
			HeaderBytes:   uint32(cfg.Limits.HeaderBytes), //nolint:gosec // at most 1 GiB
			ConnectionAge: cfg.Limits.ConnectionAge,
		},
		Load:       load(cfg),
		DrainDelay: cfg.Listen.Drain.Delay, DrainTimeout: cfg.Listen.Drain.Timeout,
		Logger: l.logger,
	}, err
}

// callMargin is how long a check may take to arrive.
const callMargin = 5 * time.Second

func load(cfg *config.Config) server.Load {
	return server.Load{
		Connections: int(cfg.Limits.Connections), Checks: int(cfg.Limits.Checks), Wait: cfg.Limits.Wait,
		Time: cfg.Request.Timeout + callMargin,
	}
}

// listenSocket finds the numbers of the user and the group who own the sockets.
func listenSocket(cfg *config.Config) (server.Socket, error) {
	from := cfg.Listen.Socket
	mode, err := strconv.ParseUint(from.Mode, 8, 32)
	if err != nil {
		return server.Socket{}, config.Mistakes{cfg.At("listen.socket.mode", err)}
	}
	out := server.Socket{Mode: fs.FileMode(mode)}
	if out.UID, err = number(from.Owner, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	}); err != nil {
		return out, config.Mistakes{cfg.At("listen.socket.owner", err)}
	}
	if out.GID, err = number(from.Group, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	}); err != nil {
		return out, config.Mistakes{cfg.At("listen.socket.group", err)}
	}
	return out, nil
}

// number is that of an account, which may be given by name; nil for none.
func number(account string, lookup func(name string) (string, error)) (*int, error) {
	if account == "" {
		return nil, nil //nolint:nilnil // no account has no number
	}
	if n, err := strconv.Atoi(account); err == nil {
		return &n, nil
	}
	id, err := lookup(account)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(id)
	return &n, err
}

// warnOpen says at every start what the configuration lets strangers do.
func warnOpen(cfg *config.Config, logger *slog.Logger) {
	listen := cfg.Listen
	if !listen.GRPC.Local() && (listen.TLS == nil || listen.TLS.ClientCAFile == "") {
		logger.Warn("listen.insecure: whoever reaches the gRPC listener may ask, without a certificate", "address", listen.GRPC.String())
	}
	if !listen.Admin.Local() && (listen.AdminTLS == nil || listen.AdminTLS.ClientCAFile == "") {
		logger.Warn("listen.insecureAdmin: whoever reaches the admin listener may look, without a certificate", "address", listen.Admin.String())
	}
}
