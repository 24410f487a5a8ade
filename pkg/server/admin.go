package server

import (
	"fmt"
	"net/http"
)

// adminHandler serves what an orchestrator and an operator look at:
//
//	/healthz  200 while the process runs
//	/readyz   200 when it can decide, 503 with the reason before
//	/metrics  for Prometheus, where there are metrics
//	gRPC      the inspection service, where there is one
func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.cfg.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics)
	}
	return s.withInspection(mux)
}
