package history

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// A basis is what a record's input has of a request beside the record's own members.
type basis struct {
	Attributes struct {
		Request struct {
			HTTP struct {
				Headers map[string]any `json:"headers"`
				Scheme  string         `json:"scheme"`
			} `json:"http"`
		} `json:"request"`
		ContextExtensions map[string]string `json:"contextExtensions"`
	} `json:"attributes"`
	Query  map[string][]string `json:"parsed_query"`
	Body   json.RawMessage     `json:"parsed_body"`
	Tokens map[string]struct {
		Claims map[string]any `json:"claims"`
		Header map[string]any `json:"header"`
	} `json:"tokens"`
}

func (r *Record) basis() basis {
	var b basis
	decoder := json.NewDecoder(strings.NewReader(string(r.Input)))
	decoder.UseNumber()
	_ = decoder.Decode(&b) // what is not there, or of another type, is what the record does not have
	return b
}

// Remake is a request like the recorded one, with the query, headers and body that the policy read. What
// nobody recorded is missing, as if it had not been there, so it is for questions about such requests,
// and no replay. A fault of the path is in Fault.
func (r *Record) Remake() *authz.Request {
	b := r.basis()
	out := &authz.Request{
		Time:              r.Time,
		Source:            authz.Peer{Address: r.Source.Address, Port: r.Source.Port, Principal: r.Source.Principal},
		Destination:       authz.Peer{Address: r.Destination.Address, Port: r.Destination.Port, Principal: r.Destination.Principal},
		ContextExtensions: b.Attributes.ContextExtensions,
	}
	if r.Method == "" {
		return out
	}
	raw, query := r.Path, url.Values(b.Query)
	if len(query) > 0 {
		raw += "?" + query.Encode()
	}
	path, err := authz.ParsePath(raw)
	out.Fault = err
	out.HTTP = &authz.HTTP{
		Method: r.Method, Scheme: b.Attributes.Request.HTTP.Scheme, Host: r.Host, Path: path,
		Headers: authz.Headers{":method": {r.Method}, ":path": {raw}, ":authority": {r.Host}},
	}
	r.fill(out.HTTP, &b)
	return out
}

// fill adds the headers and the body.
func (r *Record) fill(to *authz.HTTP, b *basis) {
	for name, value := range r.Headers {
		to.Headers[name] = []string{value}
	}
	for name, value := range b.Attributes.Request.HTTP.Headers {
		if text, ok := value.(string); ok {
			to.Headers[name] = []string{text}
		}
	}
	if body := b.body(); body != nil {
		to.Body, to.Size = string(body), int64(len(body))
		to.Headers["content-type"] = []string{"application/json"}
	}
}

// Body is the body that the policy read, as JSON; nil where the record has none.
func (r *Record) Body() json.RawMessage {
	b := r.basis()
	return b.body()
}

func (b *basis) body() json.RawMessage {
	if string(b.Body) == "null" {
		return nil
	}
	return b.Body
}

// RemakeIdentity is who asked, likewise: of the claims, those that are kept and those that the policy
// read. What is masked is left out.
func (r *Record) RemakeIdentity() authz.Identity {
	b := r.basis()
	out := authz.Identity{Tokens: make(map[string]authz.Token, len(r.Tokens))}
	for slot, token := range r.Tokens {
		if token.Status != authz.TokenValid {
			out.Tokens[slot] = authz.Token{Status: authz.TokenMissing}
			continue
		}
		read := b.Tokens[slot]
		claims := maps.Clone(token.Claims)
		if claims == nil {
			claims = map[string]any{}
		}
		maps.DeleteFunc(read.Claims, func(_ string, value any) bool { return isMasked(value) })
		maps.DeleteFunc(claims, func(_ string, value any) bool { return isMasked(value) })
		maps.Copy(claims, read.Claims)
		claims["iss"] = token.Issuer
		if token.Subject != "" {
			claims["sub"] = token.Subject
		}
		header := read.Header
		if header == nil {
			header = map[string]any{"alg": token.Algorithm}
		}
		out.Tokens[slot] = authz.Token{Status: authz.TokenValid, Issuer: token.Issuer, Claims: claims, Header: header}
	}
	return out
}

// isMasked tells whether a value is not what it was.
func isMasked(value any) bool {
	switch value := value.(type) {
	case string:
		return strings.Contains(value, mask.Text)
	case []any:
		return slices.ContainsFunc(value, isMasked)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(value)), isMasked)
	}
	return false
}

// Lifetime is from iat to exp of a token; 0 where the record does not have both.
func (t Token) Lifetime() time.Duration {
	from, ok1 := seconds(t.Claims["iat"])
	to, ok2 := seconds(t.Claims["exp"])
	if !ok1 || !ok2 || to < from {
		return 0
	}
	return time.Duration((to - from) * float64(time.Second))
}

func seconds(claim any) (float64, bool) {
	number, ok := claim.(json.Number)
	if !ok {
		return 0, false
	}
	value, err := number.Float64()
	return value, err == nil
}
