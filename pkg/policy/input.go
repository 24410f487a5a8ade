package policy

import (
	"encoding/base64"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A writer writes the document that policy sees as input, as far as p is read: that of
// opa-envoy-plugin, which follows the CheckRequest in its JSON names and leaves out what is not
// set, and beside it tokens, source and path_ambiguous. A check without HTTP has no parsed_path,
// parsed_query, parsed_body, truncated_body and path_ambiguous.
//
// An object is there where the whole document has it, even if nothing of it is read.
type writer struct {
	*sheet
	asides asides
	bodies bodyReader
}

func (w writer) input(p *part, req *authz.Request, id authz.Identity) error {
	w.object()
	if a := w.member(p, "attributes"); a != nil {
		if err := w.attributes(a, req); err != nil {
			return err
		}
	}
	if v := w.member(p, "version"); v != nil {
		w.version(v)
	}
	if t := w.member(p, "tokens"); t != nil {
		if err := w.tokens(t, id.Tokens); err != nil {
			return err
		}
	}
	if s := w.member(p, "source"); s != nil {
		w.shortSource(s, &req.Source)
	}
	w.textMember(p, "source_principal", req.Source.Principal)
	if req.HTTP != nil {
		if err := w.parsed(p, req.HTTP); err != nil {
			return err
		}
	}
	w.end()
	return nil
}

// parsed writes what is made of the request. A body that is not what it says to be is refused even
// where the policy does not look at it: the upstream may.
func (w writer) parsed(p *part, h *authz.HTTP) error {
	if s := w.member(p, "parsed_path"); s != nil {
		w.texts(h.Path.Segments)
	}
	if q := w.member(p, "parsed_query"); q != nil {
		w.textLists(q, h.Path.Query)
	}
	if err := w.body(p, h); err != nil {
		return err
	}
	if w.member(p, "path_ambiguous") != nil {
		w.boolean(h.Path.Ambiguity != "")
	}
	return nil
}

// body writes what policy sees of a body beside attributes.
func (w writer) body(p *part, h *authz.HTTP) error {
	if w.bodies.skip {
		return nil
	}
	parsed, truncated, err := w.bodies.read(h)
	if err != nil {
		return err
	}
	if w.member(p, "parsed_body") != nil {
		if _, none := parsed.(ast.Null); none {
			w.null()
		} else {
			w.sheet.body(parsed)
		}
	}
	if w.member(p, "truncated_body") != nil {
		w.boolean(truncated)
	}
	return nil
}

// version says "protojson" because opa-envoy-plugin does, though neither follows protojson in
// timestamps, enums and 64-bit integers.
func (w writer) version(p *part) {
	w.object()
	w.textMember(p, "ext_authz", "v3")
	w.textMember(p, "encoding", "protojson")
	w.end()
}

func (w writer) attributes(p *part, req *authz.Request) error {
	w.object()
	w.peer(p, "source", &req.Source)
	w.peer(p, "destination", &req.Destination)
	w.request(p, req)
	w.textMap(p, "contextExtensions", req.ContextExtensions)
	if err := w.metadata(p, "metadataContext", req.FilterMetadata); err != nil {
		return err
	}
	if err := w.metadata(p, "routeMetadataContext", req.RouteMetadata); err != nil {
		return err
	}
	if req.TLSSession != nil {
		if t := w.member(p, "tlsSession"); t != nil {
			w.object()
			w.textMember(t, "sni", req.TLSSession.SNI)
			w.end()
		}
	}
	w.end()
	return nil
}

func (w writer) peer(p *part, name string, of *authz.Peer) {
	hasAddress := of.Address != "" || of.Pipe != ""
	if !hasAddress && of.Service == "" && len(of.Labels) == 0 && of.Principal == "" && of.Certificate == "" {
		return
	}
	if p = w.member(p, name); p == nil {
		return
	}
	w.object()
	if hasAddress {
		w.address(p, of)
	}
	w.textMember(p, "service", of.Service)
	w.textMap(p, "labels", of.Labels)
	w.textMember(p, "principal", of.Principal)
	w.textMember(p, "certificate", of.Certificate)
	w.end()
}

func (w writer) address(p *part, of *authz.Peer) {
	if p = w.member(p, "address"); p == nil {
		return
	}
	w.object()
	if of.Address != "" {
		if socket := w.member(p, "socketAddress"); socket != nil {
			w.object()
			w.textMember(socket, "address", of.Address)
			w.port(socket, "portValue", of)
			w.end()
		}
	}
	if of.Pipe != "" {
		if pipe := w.member(p, "pipe"); pipe != nil {
			w.object()
			w.textMember(pipe, "path", of.Pipe)
			w.end()
		}
	}
	w.end()
}

// port is there even where it is 0.
func (w writer) port(p *part, name string, of *authz.Peer) {
	if !of.NoPort && w.member(p, name) != nil {
		w.integer(int64(of.Port))
	}
}

// shortSource is the downstream peer in short; a pipe has neither address nor port.
func (w writer) shortSource(p *part, of *authz.Peer) {
	w.object()
	w.textMember(p, "principal", of.Principal)
	w.textMember(p, "address", of.Address)
	if of.Address != "" {
		w.port(p, "port", of)
	}
	w.end()
}

func (w writer) request(p *part, req *authz.Request) {
	if req.HTTP == nil && !hasTime(req.Time) {
		return
	}
	if p = w.member(p, "request"); p == nil {
		return
	}
	w.object()
	w.timestamp(p, req.Time)
	if req.HTTP != nil {
		if h := w.member(p, "http"); h != nil {
			w.http(h, req.HTTP)
		}
	}
	w.end()
}

func hasTime(t time.Time) bool { return !t.IsZero() && t.UnixNano() != 0 }

func (w writer) timestamp(p *part, t time.Time) {
	if !hasTime(t) {
		return
	}
	if p = w.member(p, "time"); p == nil {
		return
	}
	w.object()
	w.integerMember(p, "seconds", t.Unix())
	w.integerMember(p, "nanos", int64(t.Nanosecond()))
	w.end()
}

func (w writer) http(p *part, h *authz.HTTP) {
	w.object()
	w.textMember(p, "id", h.ID)
	w.textMember(p, "method", h.Method)
	w.headers(p, h.Headers)
	w.textMember(p, "path", h.Path.Raw)
	w.textMember(p, "host", h.Host)
	w.textMember(p, "scheme", h.Scheme)
	w.textMember(p, "query", h.Query)
	w.textMember(p, "fragment", h.Fragment)
	w.textMember(p, "protocol", h.Protocol)
	w.integerMember(p, "size", h.Size)
	if hasBody := h.Body != "" || len(h.RawBody) > 0; hasBody && (p.at("body") != nil || p.at("rawBody") != nil) {
		w.alone()
	}
	w.textMember(p, "body", h.Body)
	if len(h.RawBody) > 0 && w.member(p, "rawBody") != nil {
		w.text(base64.StdEncoding.EncodeToString(h.RawBody))
	}
	w.headerMap(p, h.RawHeaders)
	w.end()
}

func (w writer) headers(p *part, headers authz.Headers) {
	if len(headers) == 0 {
		return
	}
	if p = w.member(p, "headers"); p == nil {
		return
	}
	w.object()
	for _, name := range names(w.sheet, p, headers) {
		w.name(name)
		w.text(headers.Joined(name))
	}
	w.end()
}

func (w writer) headerMap(p *part, headers []authz.RawHeader) {
	if len(headers) == 0 {
		return
	}
	if p = w.member(p, "headerMap"); p == nil {
		return
	}
	w.object()
	if w.member(p, "headers") != nil {
		w.array()
		for _, h := range headers {
			entry := &part{whole: true}
			w.object()
			w.textMember(entry, "key", h.Name)
			w.textMember(entry, "value", h.Value)
			w.textMember(entry, "rawValue", base64.StdEncoding.EncodeToString(h.RawValue))
			w.end()
		}
		w.end()
	}
	w.end()
}

func (w writer) metadata(p *part, name string, byFilter map[string]any) error {
	if byFilter == nil {
		return nil
	}
	if p = w.member(p, name); p == nil {
		return nil
	}
	w.object()
	if len(byFilter) > 0 {
		if f := w.member(p, "filterMetadata"); f != nil {
			if err := w.jsonObject(f, byFilter); err != nil {
				return refuse(authz.MalformedRequest, "read metadata: a value of no JSON type")
			}
		}
	}
	w.end()
	return nil
}

func (w writer) texts(values []string) {
	w.array()
	for _, v := range values {
		w.text(v)
	}
	w.end()
}

func (w writer) textMap(p *part, name string, values map[string]string) {
	if len(values) == 0 {
		return
	}
	if p = w.member(p, name); p == nil {
		return
	}
	w.object()
	for _, name := range names(w.sheet, p, values) {
		w.name(name)
		w.text(values[name])
	}
	w.end()
}

func (w writer) textLists(p *part, values map[string][]string) {
	w.object()
	for _, name := range names(w.sheet, p, values) {
		w.name(name)
		w.texts(values[name])
	}
	w.end()
}
