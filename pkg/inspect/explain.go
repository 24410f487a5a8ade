package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
	inspectv1 "github.com/sallyport/sallyport/proto/sallyport/inspect/v1"
)

const (
	// mostExplains is how many run at a time, so that they leave processors to checks.
	mostExplains = 2

	explainTime = 5 * time.Second
)

// Where a request is stopped.
const (
	atFirstDoor  = "first_door"
	atSecondDoor = "second_door"
	atServer     = "server" // before or beside both doors
)

func (s *Service) explain(ctx context.Context, in *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	select {
	case s.explains <- struct{}{}:
		defer func() { <-s.explains }()
	case <-ctx.Done():
		return nil, status.Error(codes.ResourceExhausted, "other explanations take their time; try again")
	}
	record, err := s.subject(ctx, in)
	if err != nil {
		return nil, err
	}
	out := &inspectv1.ExplainResponse{StoppedAt: stoppedAt(record)}
	if out.Decision, err = s.shown(ctx, seen{record: record}); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	if out.GetStoppedAt() == atFirstDoor || out.GetStoppedAt() == atServer {
		return out, nil
	}
	s.second(ctx, out, record)
	return out, nil
}

// subject is the record to explain.
func (s *Service) subject(ctx context.Context, in *inspectv1.ExplainRequest) (*authz.Record, error) {
	if in.GetRequest() != nil {
		return s.config.Check(ctx, request(in.GetRequest())), nil
	}
	id := in.GetDecisionId()
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "a decision id or a request is needed")
	}
	for _, r := range []*ring{&s.denials, &s.allows} {
		if found := r.find(id); found != nil {
			return found, nil
		}
	}
	return nil, status.Error(codes.NotFound,
		"no such decision is remembered here: it is of another replica, from before the last start, or too long ago")
}

// second explains the second door, as the policy is now.
func (s *Service) second(ctx context.Context, out *inspectv1.ExplainResponse, record *authz.Record) {
	now, err := s.config.Explain(ctx, record.Request, record.Identity)
	if err != nil {
		now.Detail = err.Error()
	}
	now.Detail = mask.Free(now.GetDetail())
	out.Now = now
	if now.GetRevision() != record.Decision.Revision {
		out.Notes = append(out.Notes, "the policy has changed since: the rules are those of the present one")
	} else if now.GetAllowed() != record.Decision.Allowed {
		out.Notes = append(out.Notes, "the same policy decides otherwise now: it depends on the time, or on what others answer")
	}
	if now.GetAllowed() {
		return
	}
	if out.WouldAllow, err = s.config.WhatIf(ctx, record.Request, record.Identity); err != nil {
		out.Notes = append(out.Notes, "what would have allowed it is not known: "+mask.Free(err.Error()))
	} else if len(out.GetWouldAllow()) == 0 {
		out.Notes = append(out.Notes, nothing(now.GetDetail()))
	}
}

// nothing says that partial evaluation gave nothing.
func nothing(detail string) string {
	const none = "partial evaluation found no condition on tokens that would have allowed it"
	if detail == "" {
		return none
	}
	return none + "; the policy itself says: " + detail
}

// stoppedAt says which door it was. A Decision that a policy made, or failed to make, has its entrypoint.
func stoppedAt(record *authz.Record) string {
	switch {
	case record.Decision.Allowed:
		return ""
	case record.Decision.Entrypoint != "":
		return atSecondDoor
	case strings.HasPrefix(string(record.Decision.Reason), "token_"):
		return atFirstDoor
	}
	return atServer
}

// request makes a request of a description.
func request(in *inspectv1.Request) *authz.Request {
	path, err := authz.ParsePath(in.GetPath())
	req := &authz.Request{
		Fault: err, ContextExtensions: in.GetContextExtensions(),
		Source: authz.Peer{Address: in.GetSourceAddress(), Principal: in.GetSourcePrincipal(), NoPort: true},
	}
	method := in.GetMethod()
	if method == "" {
		method = "GET"
	}
	headers := authz.Headers{":method": {method}, ":path": {in.GetPath()}, ":authority": {in.GetHost()}}
	for name, value := range in.GetHeaders() {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, ":") || headers[name] != nil {
			req.Fault = &authz.Error{Reason: authz.MalformedRequest,
				Err: errors.Join(req.Fault, fmt.Errorf("inspect: read request: a header comes twice, or has a colon before its name"))}
		}
		headers[name] = []string{value}
	}
	req.HTTP = &authz.HTTP{
		Method: method, Host: in.GetHost(), Path: path, Headers: headers, Body: in.GetBody(), Size: int64(len(in.GetBody())),
		Protocol: "HTTP/1.1", Scheme: "http",
	}
	return req
}
