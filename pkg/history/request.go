package history

import (
	"maps"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Request is the request as far as the record has it beside the input: what is empty in it is not known,
// and texts may have masked parts. The headers and the query are those that were kept; the path has no
// query. A check of Envoy's network filter has no HTTP.
func (r *Record) Request() *authz.Request {
	req := &authz.Request{
		Source:      authz.Peer{Address: r.Source.Address, Principal: r.Source.Principal, Port: r.Source.Port},
		Destination: authz.Peer{Address: r.Destination.Address, Principal: r.Destination.Principal, Port: r.Destination.Port},
	}
	if r.Method == "" && r.Host == "" && r.Path == "" {
		return req
	}
	req.HTTP = &authz.HTTP{Method: r.Method, Host: r.Host, Path: authz.Path{Raw: r.Path, Query: lists(r.Query)}, Headers: lists(r.Headers)}
	return req
}

// lists has each text as the only one of a list.
func lists(texts map[string]string) map[string][]string {
	if texts == nil {
		return nil
	}
	out := make(map[string][]string, len(texts))
	for name, text := range texts {
		out[name] = []string{text}
	}
	return out
}

// Identity has every slot of the record's tokens, with the claims that were kept.
func (r *Record) Identity() authz.Identity {
	if len(r.Tokens) == 0 {
		return authz.Identity{}
	}
	id := authz.Identity{Tokens: make(map[string]authz.Token, len(r.Tokens))}
	for slot, kept := range r.Tokens {
		token := authz.Token{Status: kept.Status, Issuer: kept.Issuer, Claims: kept.Claims}
		if kept.Subject != "" {
			token.Claims = map[string]any{"sub": kept.Subject}
			maps.Copy(token.Claims, kept.Claims)
		}
		if kept.Algorithm != "" {
			token.Header = map[string]any{"alg": kept.Algorithm}
		}
		id.Tokens[slot] = token
	}
	return id
}
