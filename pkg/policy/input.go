package policy

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz"
)

// newInput makes the document that policy sees as input: that of opa-envoy-plugin, which follows
// the CheckRequest in its JSON names and leaves out what is not set, and beside it tokens, source
// and path_ambiguous. A check without HTTP has no parsed_path, parsed_query, parsed_body,
// truncated_body and path_ambiguous.
func newInput(req *authz.Request, id authz.Identity, bodies bodyReader) (ast.Value, error) {
	attributes, err := attributes(req)
	if err != nil {
		return nil, err
	}
	tokens, err := tokens(id.Tokens)
	if err != nil {
		return nil, err
	}
	in := document{}
	in.set("attributes", attributes)
	in.set("version", version())
	in.set("tokens", tokens)
	in.set("source", shortSource(req.Source))
	in.text("source_principal", req.Source.Principal)
	if req.HTTP == nil {
		return in.value(), nil
	}
	if err := bodies.addTo(&in, req.HTTP); err != nil {
		return nil, err
	}
	in.set("parsed_path", texts(req.HTTP.Path.Segments))
	in.set("parsed_query", textLists(req.HTTP.Path.Query))
	in.set("path_ambiguous", ast.Boolean(req.HTTP.Path.Ambiguity != ""))
	return in.value(), nil
}

// version says "protojson" because opa-envoy-plugin does, though neither follows protojson in
// timestamps, enums and 64-bit integers.
func version() ast.Value {
	var v document
	v.text("ext_authz", "v3")
	v.text("encoding", "protojson")
	return v.value()
}

func attributes(req *authz.Request) (ast.Value, error) {
	filter, err := metadata(req.FilterMetadata)
	if err != nil {
		return nil, err
	}
	route, err := metadata(req.RouteMetadata)
	if err != nil {
		return nil, err
	}
	var a document
	a.add("source", peer(req.Source))
	a.add("destination", peer(req.Destination))
	a.add("request", request(req))
	a.add("contextExtensions", textMap(req.ContextExtensions))
	if req.FilterMetadata != nil {
		a.set("metadataContext", filter.value())
	}
	if req.RouteMetadata != nil {
		a.set("routeMetadataContext", route.value())
	}
	if req.TLSSession != nil {
		var tls document
		tls.text("sni", req.TLSSession.SNI)
		a.set("tlsSession", tls.value())
	}
	return a.value(), nil
}

func peer(p authz.Peer) document {
	var address, socket, pipe, d document
	if p.Address != "" {
		socket.text("address", p.Address)
	}
	if p.Address != "" && !p.NoPort {
		socket.set("portValue", number(int64(p.Port)))
	}
	pipe.text("path", p.Pipe)
	address.add("socketAddress", socket)
	address.add("pipe", pipe)
	d.add("address", address)
	d.text("service", p.Service)
	d.add("labels", textMap(p.Labels))
	d.text("principal", p.Principal)
	d.text("certificate", p.Certificate)
	return d
}

// shortSource is the downstream peer in short; a pipe has neither address nor port.
func shortSource(p authz.Peer) ast.Value {
	var d document
	d.text("principal", p.Principal)
	d.text("address", p.Address)
	if p.Address != "" && !p.NoPort {
		d.set("port", number(int64(p.Port)))
	}
	return d.value()
}

func request(req *authz.Request) document {
	var d document
	d.add("time", timestamp(req.Time))
	if req.HTTP != nil {
		d.set("http", httpRequest(req.HTTP).value())
	}
	return d
}

func timestamp(t time.Time) document {
	var d document
	if !t.IsZero() {
		d.integer("seconds", t.Unix())
		d.integer("nanos", int64(t.Nanosecond()))
	}
	return d
}

func httpRequest(h *authz.HTTP) document {
	var d document
	d.text("id", h.ID)
	d.text("method", h.Method)
	d.add("headers", joinedHeaders(h.Headers))
	d.text("path", h.Path.Raw)
	d.text("host", h.Host)
	d.text("scheme", h.Scheme)
	d.text("query", h.Query)
	d.text("fragment", h.Fragment)
	d.text("protocol", h.Protocol)
	d.integer("size", h.Size)
	d.text("body", h.Body)
	d.text("rawBody", base64.StdEncoding.EncodeToString(h.RawBody))
	d.add("headerMap", headerMap(h.RawHeaders))
	return d
}

func joinedHeaders(headers authz.Headers) document {
	d := make(document, 0, len(headers))
	for name := range headers {
		d.set(name, ast.String(headers.Joined(name)))
	}
	return d
}

func headerMap(headers []authz.RawHeader) document {
	if len(headers) == 0 {
		return nil
	}
	entries := make([]*ast.Term, len(headers))
	for i, h := range headers {
		var entry document
		entry.text("key", h.Name)
		entry.text("value", h.Value)
		entry.text("rawValue", base64.StdEncoding.EncodeToString(h.RawValue))
		entries[i] = ast.NewTerm(entry.value())
	}
	var d document
	d.set("headers", ast.NewArray(entries...))
	return d
}

func metadata(byFilter map[string]any) (document, error) {
	if len(byFilter) == 0 {
		return nil, nil
	}
	value, err := ast.InterfaceToValue(byFilter)
	if err != nil {
		return nil, refuse(authz.MalformedRequest, "read metadata: a value of no JSON type")
	}
	var d document
	d.set("filterMetadata", value)
	return d, nil
}

// tokens has an entry for every slot of the configuration. The text of a token is in none.
func tokens(slots map[string]authz.Token) (ast.Value, error) {
	d := make(document, 0, len(slots))
	for name, token := range slots {
		slot, err := slot(token)
		if err != nil {
			return nil, fmt.Errorf("%w of %s", err, name)
		}
		d.set(name, slot)
	}
	return d.value(), nil
}

func slot(token authz.Token) (ast.Value, error) {
	var d document
	d.text("status", string(token.Status))
	if token.Status != authz.TokenValid {
		return d.value(), nil
	}
	claims, err := ast.InterfaceToValue(token.Claims)
	if err != nil {
		return nil, refuse(authz.Internal, "read token: a claim of no JSON type")
	}
	header, err := ast.InterfaceToValue(token.Header)
	if err != nil {
		return nil, refuse(authz.Internal, "read token: a header of no JSON type")
	}
	d.text("issuer", token.Issuer)
	d.set("claims", claims)
	d.set("header", header)
	return d.value(), nil
}

// A document is an object in the making.
type document [][2]*ast.Term

// set adds a value, even an empty one.
func (d *document) set(name string, value ast.Value) {
	*d = append(*d, [2]*ast.Term{ast.InternedTerm(name), ast.NewTerm(value)})
}

// text adds a string that is set.
func (d *document) text(name, value string) {
	if value != "" {
		d.set(name, ast.String(value))
	}
}

// integer adds a number that is set.
func (d *document) integer(name string, value int64) {
	if value != 0 {
		d.set(name, number(value))
	}
}

// add adds an object that holds something.
func (d *document) add(name string, value document) {
	if len(value) > 0 {
		d.set(name, value.value())
	}
}

func (d document) value() ast.Value { return ast.NewObject(d...) }

func number(n int64) ast.Value { return ast.Number(strconv.FormatInt(n, 10)) }

func texts(values []string) ast.Value {
	terms := make([]*ast.Term, len(values))
	for i, v := range values {
		terms[i] = ast.InternedTerm(v)
	}
	return ast.NewArray(terms...)
}

func textMap(values map[string]string) document {
	d := make(document, 0, len(values))
	for name, v := range values {
		d.set(name, ast.String(v))
	}
	return d
}

func textLists(values map[string][]string) ast.Value {
	d := make(document, 0, len(values))
	for name, list := range values {
		d.set(name, texts(list))
	}
	return d.value()
}
