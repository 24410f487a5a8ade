package server

import (
	"net/http"
	"strings"
)

// withInspection hands gRPC to the inspection service, on the same port as the rest.
func (s *Server) withInspection(rest http.Handler) http.Handler {
	if s.cfg.Inspect == nil {
		return rest
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			s.cfg.Inspect.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// adminProtocols has HTTP/2 without TLS too: gRPC needs it.
func adminProtocols() *http.Protocols {
	p := &http.Protocols{}
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}
