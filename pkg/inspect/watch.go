package inspect

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sallyport/sallyport/pkg/authz"
	decisionv1 "github.com/sallyport/sallyport/proto/sallyport/decision/v1"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

const (
	mostWatchers = 16
	queueRecords = 1 << 10
	queueBytes   = 4 << 20 // a record keeps its request, whose body may have a mebibyte
)

// A watcher is one stream of Watch.
type watcher struct {
	filter *inspectv1.WatchRequest
	queue  chan seen
	bytes  atomic.Int64 // of what is in the queue
	lost   atomic.Uint64
}

// Seen is a record, or what a candidate would have decided instead, that waits for a watcher.
type seen struct {
	record  *authz.Record
	differs *authz.Comparison // nil: it is the record
	span    trace.SpanContext
}

// offer never waits: the check does.
func (w *watcher) offer(ctx context.Context, next seen) {
	if !w.wants(next.record) {
		return
	}
	next.span = trace.SpanContextFromContext(ctx)
	size := int64(sizeOf(next.record))
	if w.bytes.Add(size) > queueBytes {
		w.bytes.Add(-size)
		w.lost.Add(1)
		return
	}
	select {
	case w.queue <- next:
	default:
		w.bytes.Add(-size)
		w.lost.Add(1)
	}
}

// wants is the cheap part of the filter.
func (w *watcher) wants(record *authz.Record) bool {
	f := w.filter
	if f.Allowed != nil && f.GetAllowed() != record.Decision.Allowed {
		return false
	}
	if len(f.GetReasons()) > 0 && !slices.Contains(f.GetReasons(), string(record.Decision.Reason)) {
		return false
	}
	if f.GetPrincipal() != "" && f.GetPrincipal() != record.Request.Source.Principal {
		return false
	}
	return f.GetPathPrefix() == "" || record.Request.HTTP != nil && strings.HasPrefix(record.Request.HTTP.Path.Raw, f.GetPathPrefix())
}

// shows is the whole filter, asked of what is shown: nobody learns by a filter what is masked.
func shows(f *inspectv1.WatchRequest, d *decisionv1.Decision) bool {
	if !strings.HasPrefix(d.GetPath(), f.GetPathPrefix()) {
		return false
	}
	if f.GetPrincipal() != "" && f.GetPrincipal() != d.GetSource().GetPrincipal() {
		return false
	}
	if f.GetSubject() == "" {
		return true
	}
	for slot, token := range d.GetTokens() {
		if (f.GetSlot() == "" || f.GetSlot() == slot) && token.GetStatus() == string(authz.TokenValid) && token.GetSub() == f.GetSubject() {
			return true
		}
	}
	return false
}

// watch serves the stream.
func (s *Service) watch(_ any, stream grpc.ServerStream) error {
	w := &watcher{filter: &inspectv1.WatchRequest{}, queue: make(chan seen, queueRecords)}
	if err := stream.RecvMsg(w.filter); err != nil {
		return err
	}
	if !s.join(w) {
		return status.Errorf(codes.ResourceExhausted, "%d others watch already, which is the limit", mostWatchers)
	}
	defer s.leave(w)
	// So that the watcher knows that nothing is missed from now on.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case next := <-w.queue:
			w.bytes.Add(-int64(sizeOf(next.record)))
			if err := s.send(stream, w, next); err != nil {
				return err
			}
		}
	}
}

func (s *Service) send(stream grpc.ServerStream, w *watcher, next seen) error {
	decision, err := s.shown(trace.ContextWithSpanContext(stream.Context(), next.span), next)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	out := &inspectv1.WatchResponse{Lost: w.lost.Swap(0)}
	if shows(w.filter, decision) {
		out.Decision = decision
	}
	if out.GetDecision() == nil && out.GetLost() == 0 {
		return nil
	}
	return stream.SendMsg(out)
}

// shown is a record, or a difference, without credentials.
func (s *Service) shown(ctx context.Context, next seen) (*decisionv1.Decision, error) {
	decision := &decisionv1.Decision{}
	var line []byte
	if next.differs != nil {
		line = s.config.Difference(next.differs)
	} else {
		line = s.config.Line(ctx, next.record)
	}
	if err := protojson.Unmarshal(line, decision); err != nil {
		return nil, errors.New("inspect: the record is no JSON of its format") // whose error may quote it
	}
	return decision, nil
}

func (s *Service) join(w *watcher) bool {
	s.changing.Lock()
	defer s.changing.Unlock()
	var all []*watcher
	if before := s.watchers.Load(); before != nil {
		all = *before
	}
	if len(all) == mostWatchers {
		return false
	}
	all = append(slices.Clone(all), w)
	s.watchers.Store(&all)
	return true
}

func (s *Service) leave(w *watcher) {
	s.changing.Lock()
	defer s.changing.Unlock()
	all := slices.DeleteFunc(slices.Clone(*s.watchers.Load()), func(x *watcher) bool { return x == w })
	if len(all) == 0 {
		s.watchers.Store(nil)
		return
	}
	s.watchers.Store(&all)
}
