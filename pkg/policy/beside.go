package policy

import (
	"net"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz"
)

// beside is what a record has of a place of the input beside the input itself, nil where it says that
// there was nothing. It is ok only where that is certain.
func (p *Past) beside(path []string) (value ast.Value, ok bool) {
	switch {
	case len(path) == 0:
		return nil, false
	case p.Request.HTTP == nil && ofHTTP(path):
		return nil, true
	}
	below := path[1:]
	switch path[0] {
	case "version":
		return besideFixed(below, map[string]string{"ext_authz": "v3", "encoding": "protojson"})
	case "tokens":
		return p.besideTokens(below)
	case "source":
		return besideShort(below, &p.Request.Source)
	case "source_principal":
		return besideText(below, p.Request.Source.Principal)
	case "attributes":
		return p.besideAttributes(below)
	case "parsed_path", "path_ambiguous", "parsed_query":
		return besideParsed(path, p.Request.HTTP)
	}
	return nil, false
}

// ofHTTP tells whether a place is there in checks with HTTP alone.
func ofHTTP(path []string) bool {
	return slices.Contains([]string{"parsed_path", "parsed_query", "parsed_body", "truncated_body", "path_ambiguous"}, path[0]) ||
		len(path) > 2 && slices.Equal(path[:3], []string{"attributes", "request", "http"})
}

// besideFixed is a member of an object that has only those.
func besideFixed(path []string, members map[string]string) (ast.Value, bool) {
	if len(path) != 1 {
		return nil, false
	}
	text, ok := members[path[0]]
	if !ok {
		return nil, true
	}
	return ast.String(text), true
}

// besideText is a text that is absent where it is empty.
func besideText(path []string, text string) (ast.Value, bool) {
	switch {
	case len(path) > 0 || masked(text):
		return nil, false
	case text == "":
		return nil, true
	}
	return ast.String(text), true
}

// besidePort is one that was not 0; of 0 a record does not tell whether it was there.
func besidePort(path []string, port uint32) (ast.Value, bool) {
	if len(path) > 0 || port == 0 {
		return nil, false
	}
	return ast.InternedTerm(int(port)).Value, true
}

// besideShort is input.source.
func besideShort(path []string, of *authz.Peer) (ast.Value, bool) {
	if len(path) == 0 {
		return nil, false
	}
	switch below := path[1:]; path[0] {
	case "principal":
		return besideText(below, of.Principal)
	case "address":
		return besideText(below, of.Address)
	case "port":
		if net.ParseIP(of.Address) == nil { // masked, or a pipe
			return nil, false
		}
		return besidePort(below, of.Port)
	}
	return nil, true
}

func (p *Past) besideAttributes(path []string) (ast.Value, bool) {
	if len(path) < 2 {
		return nil, false
	}
	switch path[0] {
	case "source":
		return besidePeer(path[1:], &p.Request.Source)
	case "destination":
		return besidePeer(path[1:], &p.Request.Destination)
	case "request":
		if path[1] == "http" && len(path) > 2 {
			return besideHTTP(path[2:], p.Request.HTTP)
		}
	}
	return nil, false
}

// besidePeer is attributes.source or attributes.destination.
func besidePeer(path []string, of *authz.Peer) (ast.Value, bool) {
	socket := []string{"address", "socketAddress"}
	switch {
	case path[0] == "principal":
		return besideText(path[1:], of.Principal)
	case len(path) < 3 || !slices.Equal(path[:2], socket):
		return nil, false
	case path[2] == "address":
		return besideText(path[3:], of.Address)
	case path[2] == "portValue" && net.ParseIP(of.Address) != nil:
		return besidePort(path[3:], of.Port)
	}
	return nil, false
}

func besideHTTP(path []string, h *authz.HTTP) (ast.Value, bool) {
	below := path[1:]
	switch path[0] {
	case "method":
		return besideText(below, h.Method)
	case "host":
		return besideText(below, h.Host)
	case "headers":
		if len(below) != 1 || len(h.Headers[below[0]]) == 0 || masked(h.Headers.Joined(below[0])) {
			return nil, false
		}
		return ast.String(h.Headers.Joined(below[0])), true
	}
	return nil, false
}

// besideParsed is what is made of the path, and of parameters that came once.
func besideParsed(path []string, h *authz.HTTP) (ast.Value, bool) {
	switch {
	case path[0] == "parsed_query" && len(path) == 2:
		values := h.Path.Query[path[1]]
		if len(values) != 1 || masked(values[0]) || strings.Contains(values[0], ",") {
			return nil, false
		}
		return texts(values), true
	case len(path) != 1 || masked(h.Path.Raw):
		return nil, false
	}
	parsed, err := authz.ParsePath(h.Path.Raw)
	switch {
	case err != nil || h.Path.Raw == "" || masked(strings.Join(parsed.Segments, "/")):
		return nil, false
	case path[0] == "parsed_path":
		return texts(parsed.Segments), true
	case path[0] == "path_ambiguous":
		return ast.Boolean(parsed.Ambiguity != ""), true
	}
	return nil, false
}

// besideTokens is a part of input.tokens. All slots are in the record.
func (p *Past) besideTokens(path []string) (ast.Value, bool) {
	if len(path) < 2 {
		return nil, false
	}
	token, ok := p.Identity.Tokens[path[0]]
	if !ok {
		return nil, true
	}
	switch below := path[2:]; path[1] {
	case "status":
		return besideText(below, string(token.Status))
	case "issuer":
		return besideText(below, token.Issuer)
	case "claims", "header":
		if token.Status != authz.TokenValid {
			return nil, true
		}
		kept := token.Claims
		if path[1] == "header" {
			kept = token.Header
		}
		return besideMember(below, kept)
	}
	return nil, true
}

// besideMember is a member that was kept, or what is below it.
func besideMember(path []string, kept map[string]any) (ast.Value, bool) {
	if len(path) == 0 {
		return nil, false
	}
	value, ok := kept[path[0]]
	if !ok {
		return nil, false
	}
	made, err := ast.InterfaceToValue(value)
	if err != nil || !isWhole(made, &part{whole: true}) {
		return nil, false
	}
	for _, name := range path[1:] {
		object, ok := made.(ast.Object)
		if !ok {
			return nil, true
		}
		member := object.Get(ast.StringTerm(name))
		if member == nil {
			return nil, true
		}
		made = member.Value
	}
	return made, true
}
