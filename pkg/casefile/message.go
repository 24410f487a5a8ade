package casefile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A message is an HTTP request as the client sends it, and what Envoy is configured to tell of it.
type message struct {
	method, scheme, host, path, protocol string
	headers                              []authz.Header // in order, lower-case
	body                                 []byte
	hasBody                              bool // also where it is empty
	truncated                            bool
	rawHeaders                           bool // encode_raw_headers
	packed                               bool // pack_as_bytes
}

func (m *message) add(name, value string) {
	m.headers = append(m.headers, authz.Header{Name: strings.ToLower(name), Value: value})
}

// suggest adds a header that the request does not have.
func (m *message) suggest(name, value string) {
	if !m.has(name) {
		m.add(name, value)
	}
}

func (m *message) has(name string) bool {
	return slices.ContainsFunc(m.headers, func(h authz.Header) bool { return h.Name == name })
}

// http is what pkg/envoy reads from the CheckRequest that Envoy 1.40 makes of the message.
func (m *message) http() (*authz.HTTP, error) {
	path, err := authz.ParsePath(m.path)
	out := &authz.HTTP{
		Method: m.method, Scheme: m.scheme, Host: m.host, Path: path, Protocol: m.protocol,
		Size: int64(len(m.body)), Headers: authz.Headers{},
	}
	for _, h := range m.sent() {
		out.Headers[h.Name] = append(out.Headers[h.Name], h.Value)
		if m.rawHeaders {
			raw := authz.RawHeader{Name: h.Name}
			if h.Value != "" {
				raw.RawValue = []byte(h.Value)
			}
			out.RawHeaders = append(out.RawHeaders, raw)
		}
	}
	if !m.rawHeaders { // then Envoy joins what is repeated
		for name := range out.Headers {
			out.Headers[name] = []string{out.Headers.Joined(name)}
		}
	}
	if m.packed && len(m.body) > 0 {
		out.RawBody = m.body
	} else {
		out.Body = strings.ToValidUTF8(string(m.body), "!") // as Envoy does
	}
	return out, err
}

// sent are the headers as Envoy has them: pseudo-headers for HTTP/1.1 too, and its own mark on a body.
func (m *message) sent() []authz.Header {
	out := []authz.Header{
		{Name: ":authority", Value: m.host},
		{Name: ":path", Value: m.path},
		{Name: ":method", Value: m.method},
		{Name: ":scheme", Value: m.scheme},
	}
	out = append(out, m.headers...)
	out = append(out, authz.Header{Name: "x-forwarded-proto", Value: m.scheme})
	if m.hasBody && !m.has("content-length") && !m.truncated {
		out = append(out, authz.Header{Name: "content-length", Value: strconv.Itoa(len(m.body))})
	}
	if len(m.body) > 0 {
		out = append(out, authz.Header{Name: "x-envoy-auth-partial-body", Value: strconv.FormatBool(m.truncated)})
	}
	return out
}

// at takes scheme, host, path and user of a URL, as a client reads it. It is never normalized.
func (m *message) at(address string) error {
	scheme, rest, found := strings.Cut(address, "://")
	if !found {
		scheme, rest = "http", address
	}
	m.scheme = strings.ToLower(scheme)
	if m.scheme != "http" && m.scheme != "https" {
		return errors.New("the URL must begin with http:// or https://")
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("the URL has a space or a control character; write it as %20")
	}
	rest, _, _ = strings.Cut(rest, "#")
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		if err := m.user(authority[:at]); err != nil {
			return err
		}
		authority = authority[at+1:]
	}
	if authority == "" {
		return errors.New("the URL has no host")
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	defaultPort := map[string]string{"http": ":80", "https": ":443"}[m.scheme]
	m.host, m.path = strings.TrimSuffix(authority, defaultPort), path
	return nil
}

// user takes the user and the password of a URL (RFC 3986, section 3.2.1).
func (m *message) user(info string) error {
	name, password, _ := strings.Cut(info, ":")
	var err error
	if name, err = url.PathUnescape(name); err == nil {
		password, err = url.PathUnescape(password)
	}
	if err != nil {
		return errors.New("the URL's user or password has a bad escape")
	}
	m.suggest("authorization", basic(name+":"+password))
	return nil
}

// basic is RFC 7617, section 2.
func basic(credentials string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

// checkHeader refuses what no HTTP client sends (RFC 9110, section 5.1 and 5.5).
func checkHeader(name, value string) error {
	odd := func(r rune) bool {
		return r <= ' ' || r > 0x7e || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
	}
	switch {
	case name == "" || strings.ContainsFunc(name, odd):
		return fmt.Errorf("%s is no header's name", shown(name))
	case strings.ContainsAny(value, "\r\n\x00"):
		return fmt.Errorf("the value of the header %s has a line break or NUL", shown(name))
	}
	return nil
}
