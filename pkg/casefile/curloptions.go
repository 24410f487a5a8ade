package casefile

import (
	"errors"
	"strings"
)

// shortOptions are the letters of curl's options.
var shortOptions = map[byte]string{
	'X': "request", 'H': "header", 'd': "data", 'u': "user", 'b': "cookie", 'G': "get", 'I': "head",
	'A': "user-agent", 'e': "referer", 'F': "form", 'T': "upload-file", 'E': "cert", 'K': "config", ':': "next",
	'0': "http1.0", 's': "silent", 'S': "show-error", 'v': "verbose", 'i': "include", 'k': "insecure",
	'L': "location", 'f': "fail", 'N': "no-buffer", '#': "progress-bar", '4': "ipv4", '6': "ipv6", 'g': "globoff",
	'o': "output", 'O': "remote-name", 'w': "write-out", 'm': "max-time", 'c': "cookie-jar", 'D': "dump-header", 'q': "disable",
}

// switches change the request and take no value.
var switches = map[string]func(*curl){
	"get":                   func(c *curl) { c.get = true },
	"head":                  func(c *curl) { c.head = true },
	"path-as-is":            func(c *curl) { c.pathAsIs = true },
	"http1.0":               func(c *curl) { c.protocol = "HTTP/1.0" },
	"http1.1":               func(c *curl) { c.protocol = "HTTP/1.1" },
	"http2":                 func(c *curl) { c.protocol = "HTTP/2" },
	"http2-prior-knowledge": func(c *curl) { c.protocol = "HTTP/2" },
	"http3":                 func(c *curl) { c.protocol = "HTTP/3" },
	"http3-only":            func(c *curl) { c.protocol = "HTTP/3" },
	"compressed":            func(c *curl) { c.own["accept-encoding"] = "deflate, gzip, br, zstd" },
}

// values change the request and take a value.
var values = map[string]func(*curl, string) error{
	"url":     func(c *curl, v string) error { c.urls = append(c.urls, v); return nil },
	"request": func(c *curl, v string) error { c.method = v; return checkHeader(v, "") },
	"header": func(c *curl, v string) error {
		if strings.HasPrefix(v, "@") {
			return errReadsFile
		}
		c.headers = append(c.headers, v)
		return nil
	},
	"data":           (*curl).data,
	"data-ascii":     (*curl).data,
	"data-binary":    (*curl).data,
	"data-raw":       func(c *curl, v string) error { c.add(v, "&"); return nil },
	"data-urlencode": (*curl).encoded,
	"json": func(c *curl, v string) error {
		if strings.HasPrefix(v, "@") {
			return errReadsFile
		}
		c.isJSON = true
		c.add(v, "")
		return nil
	},
	"user": func(c *curl, v string) error {
		if !strings.Contains(v, ":") {
			return errors.New("curl would ask for the password; write user:password")
		}
		c.user = v
		return nil
	},
	"oauth2-bearer": func(c *curl, v string) error { c.own["authorization"] = "Bearer " + v; return nil },
	"cookie": func(c *curl, v string) error {
		if !strings.Contains(v, "=") {
			return errReadsFile
		}
		c.cookies = append(c.cookies, v)
		return nil
	},
	"user-agent": func(c *curl, v string) error { return c.write("user-agent", v) },
	"referer":    func(c *curl, v string) error { return c.write("referer", strings.TrimSuffix(v, ";auto")) },
}

// write is for a header of curl's own; an empty value leaves it out.
func (c *curl) write(name, value string) error {
	if delete(c.own, name); value != "" {
		c.own[name] = value
	}
	return checkHeader(name, value)
}

// ignored say how curl answers or connects, not what it sends.
var ignored = []string{
	"silent", "show-error", "verbose", "include", "insecure", "location", "fail", "fail-with-body", "no-buffer",
	"progress-bar", "no-progress-meter", "ipv4", "ipv6", "globoff", "remote-name", "disable", "tlsv1.2", "tlsv1.3",
	"ssl-no-revoke", "no-keepalive", "tcp-nodelay", "styled-output",
}

// ignoredValues are the same, and take a value.
var ignoredValues = []string{
	"output", "write-out", "max-time", "connect-timeout", "retry", "retry-delay", "retry-max-time", "max-redirs",
	"cookie-jar", "dump-header", "cacert", "capath", "resolve", "connect-to", "stderr", "trace", "trace-ascii",
	"keepalive-time", "tls-max", "ciphers",
}

// refusedOptions change the request in a way that has no place here.
var refusedOptions = map[string]string{
	"form":        "forms in parts are not supported, since curl chooses their boundary; write the request as fields, with the body",
	"form-string": "forms in parts are not supported, since curl chooses their boundary; write the request as fields, with the body",
	"upload-file": "it would read a file; use -X PUT and --data-binary",
	"cert":        "it would read a file; write what the certificate says as source.principal",
	"key":         "it would read a file; write what the certificate says as source.principal",
	"config":      "it would read a file; write its options out",
	"next":        "a case is one request; write another case",
}
