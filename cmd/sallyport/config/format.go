package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A Format is what a text must look like.
type Format struct {
	Pattern string   // matches every such text, read by RE2 and by ECMA-262 alike
	Except  []string // these match too and are refused, in small letters or capitals
	Meaning string
}

const (
	// tokenPattern follows RFC 9110, section 5.6.2.
	tokenPattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
	dnsLabel     = `[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`
)

// framing are the headers that frame a request.
var framing = []string{"connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}

// formats are those that the format tag of a setting names.
var formats = map[string]Format{
	"name":   {`^[a-z][A-Za-z0-9_-]{0,63}$`, nil, "a small letter and then letters, digits, _ or -, 64 at most"}, // it labels metrics
	"header": {tokenPattern, []string{"host"}, "a header's name (RFC 9110, section 5.1), other than host"},
	"output": {tokenPattern, append([]string{"host"}, framing...), "the name of a header (RFC 9110, section 5.1) that neither routes nor frames the request"},
	"cookie": {tokenPattern, nil, "a cookie's name (RFC 6265, section 4.1.1)"},
	// What parts the prefix from the token is no letter or digit, or it would be read as one with it.
	"prefix":      {`^([ -+\x2D-~]*[ -+\x2D-/:-@\x5B-\x60{-~])?$`, nil, "visible ASCII and spaces, without a comma, that does not end with a letter or digit"},
	"url":         {`^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+([/?][^#]*)?$`, nil, "an https URL without user, password and fragment; plain http needs a loopback host or allowInsecureHTTP"},
	"realm":       {`^[ -~]+$`, nil, "printable ASCII"},
	"client":      {`^(spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)*|` + dnsLabel + `(\.` + dnsLabel + `)*)$`, nil, "a SPIFFE id or a DNS name"},
	"mode":        {`^0?[0-7]{3}$`, nil, "a mode in octal digits, such as 0660"},
	"account":     {`^([a-z_][a-z0-9_.-]*|[0-9]{1,9})$`, nil, "the name or number of a user or group"},
	"trustDomain": {`^[a-z0-9._-]{1,255}$`, nil, "the name of a SPIFFE trust domain, such as example.org"},
	"dns":         {`^` + dnsLabel + `(\.` + dnsLabel + `)*$`, nil, "a host name or IPv4 address, without scheme, port and wildcard"},
	"host":        {`^(\*\.)?` + dnsLabel + `(\.` + dnsLabel + `)*$`, nil, "a host name, without a port, or *. and a domain"},
	"entrypoint":  {`^/?[A-Za-z0-9_.:-]+(/[A-Za-z0-9_.:-]+)*/?$`, nil, "a rule's path such as envoy/authz/allow"},
}

// Formats are those that the format tag names.
func Formats() map[string]Format { return maps.Clone(formats) }

// is tells whether a text is of the format.
func (f Format) is(text string) bool {
	const longest = 2048 // SPIFFE-ID, section 2.3; no other is nearly as long
	return len(text) <= longest && regexp.MustCompile(f.Pattern).MatchString(text) &&
		!slices.ContainsFunc(f.Except, func(e string) bool { return strings.EqualFold(e, text) })
}
