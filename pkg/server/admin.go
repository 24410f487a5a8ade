package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

func (s *Server) listenAdmin(ctx context.Context) (net.Listener, error) {
	listener, err := listen(ctx, s.cfg.Admin, s.cfg.Socket)
	if err != nil {
		return nil, fmt.Errorf("server: listen.admin: %w", err)
	}
	if s.cfg.AdminTLS == nil {
		return listener, nil
	}
	config, err := s.cfg.AdminTLS.config(&certificates{
		setting: "listen.adminTLS", protocols: []string{"h2", "http/1.1"}, logger: s.cfg.Logger, now: s.cfg.Now,
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return tls.NewListener(listener, config), nil
}

func (s *Server) adminServer() *http.Server {
	return &http.Server{Handler: s.adminHandler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, Protocols: adminProtocols()}
}

// adminHandler serves what an orchestrator and an operator look at:
//
//	/healthz  200 while the process runs
//	/readyz   200 when it can decide, 503 with the reason before and while it drains; after an ok
//	          stand, line by line, troubles that do not keep it from deciding
//	/metrics  for Prometheus, where there are metrics
//	gRPC      the inspection service, where there is one
func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
		if s.cfg.Trouble == nil {
			return
		}
		if err := s.cfg.Trouble(); err != nil {
			for line := range strings.Lines(err.Error()) {
				fmt.Fprintln(w, "trouble:", strings.TrimSpace(line))
			}
		}
	})
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics)
	}
	return s.withInspection(mux)
}
