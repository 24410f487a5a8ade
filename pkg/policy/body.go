package policy

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A bodyReader shows policy the body of a request.
type bodyReader struct {
	descriptors *descriptors // of gRPC messages, which are null without
	skip        bool         // nothing is shown of any body
}

// same tells whether another shows the same of every body.
func (r bodyReader) same(other bodyReader) bool {
	digest := func(d *descriptors) string {
		if d == nil {
			return ""
		}
		return d.digest
	}
	return r.skip == other.skip && digest(r.descriptors) == digest(other.descriptors)
}

// read parses the body by its media type: JSON, a form, a multipart form, or a gRPC message.
// Without a body, with a part of one, and with any other media type it is null.
//
// A body that is not what its type says is refused rather than null, because a policy of the form
// "not input.parsed_body.x" would let it through to an upstream that reads it after all.
func (r bodyReader) read(h *authz.HTTP) (parsed ast.Value, truncated bool, err error) {
	body := h.Body
	if body == "" {
		body = string(h.RawBody)
	}
	truncated, err = isTruncated(h, len(body))
	if err != nil || truncated || body == "" {
		return ast.NullValue, truncated, err
	}
	mediaType, parameters, err := mediaType(h.Headers.Joined("content-type"))
	switch {
	case err != nil:
		return nil, false, err
	case isGRPC(mediaType):
		return r.descriptors.read(h, mediaType)
	}
	parsed, err = parseBody(mediaType, parameters, body)
	return parsed, false, err
}

// isTruncated asks Envoy's own mark, which a client cannot set, then the length; where no length was
// declared, a body that fills the limit may go on. An empty body is whole whatever its length says:
// Envoy sends none unless the filter is configured to.
func isTruncated(h *authz.HTTP, size int) (bool, error) {
	if h.Headers.Joined("x-envoy-auth-partial-body") == "true" {
		return true, nil
	}
	declared := h.Headers.Joined("content-length")
	if declared == "" {
		return h.BodyFull, nil
	}
	// RFC 9110, section 8.6: digits alone. Two lengths, joined with ",", are none.
	length, err := strconv.ParseUint(declared, 10, 63)
	if err != nil {
		return false, refuse(authz.MalformedRequest, "read body: the content-length is no number")
	}
	return size > 0 && length > uint64(size), nil
}

// mediaType is "" where there is none. A broken parameter is as good as an absent one.
func mediaType(contentType string) (mediaType string, parameters map[string]string, err error) {
	if contentType == "" {
		return "", nil, nil
	}
	mediaType, parameters, err = mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return "", nil, refuse(authz.BodyMalformed, "read body: the content type cannot be read")
	}
	return mediaType, parameters, nil
}

func parseBody(mediaType string, parameters map[string]string, body string) (ast.Value, error) {
	switch {
	case isJSON(mediaType):
		return parseJSON(body)
	case mediaType == "application/x-www-form-urlencoded":
		return parseForm(body)
	case mediaType == "multipart/form-data" && parameters["boundary"] != "":
		return parseMultipart(body, parameters["boundary"])
	}
	return ast.NullValue, nil
}

// isJSON follows the WHATWG's MIME sniffing standard, section 4.6.
func isJSON(mediaType string) bool {
	return mediaType == "application/json" || mediaType == "text/json" || strings.HasSuffix(mediaType, "+json")
}

func parseForm(body string) (ast.Value, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, refuse(authz.BodyMalformed, "read body: a bad escape or a semicolon in the form")
	}
	for name, list := range values {
		for _, text := range append(list, name) {
			if !utf8.ValidString(text) {
				return nil, notUTF8()
			}
		}
	}
	return textLists(values), nil
}

// parseMultipart reads RFC 7578. A part of JSON is parsed, any other is a string; a file that is
// not text is null. A part without a name is left out, as opa-envoy-plugin does.
func parseMultipart(body, boundary string) (ast.Value, error) {
	fields := map[string][]*ast.Term{}
	reader := multipart.NewReader(strings.NewReader(body), boundary)
	for {
		part, err := reader.NextPart()
		if err == io.EOF && strings.Contains(body, "--"+boundary+"--") { //nolint:errorlint // NextPart wraps most of those it did not expect
			break
		}
		if err != nil {
			return nil, refuse(authz.BodyMalformed, "read body: the multipart form is broken")
		}
		name := part.FormName()
		if name == "" {
			continue
		}
		value, err := parsePart(part)
		if err != nil {
			return nil, err
		}
		fields[name] = append(fields[name], ast.NewTerm(value))
	}
	d := make(document, 0, len(fields))
	for name, values := range fields {
		if !utf8.ValidString(name) {
			return nil, notUTF8()
		}
		d.set(name, ast.NewArray(values...))
	}
	return d.value(), nil
}

func parsePart(part *multipart.Part) (ast.Value, error) {
	raw, err := io.ReadAll(part)
	if err != nil {
		return nil, refuse(authz.BodyMalformed, "read body: the multipart form is broken")
	}
	mediaType, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
	switch {
	case isJSON(mediaType):
		return parseJSON(string(raw))
	case utf8.Valid(raw):
		return ast.String(raw), nil
	case part.FileName() != "":
		return ast.NullValue, nil
	}
	return nil, notUTF8()
}

func notUTF8() error {
	return refuse(authz.BodyMalformed, "read body: bytes that are not UTF-8")
}
