package policy

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// A clerk writes a sheet down as JSON, without the credentials in it. What is masked depends on the
// zone: Sallyport's own names, such as "tokens", say nothing of what is under them, but the names
// of headers, parameters, claims and body fields do.
type clerk struct {
	*Recording

	rest   string
	asides []*aside

	all    bool // what the policy does not read is written too; spots have what it reads
	out    []byte
	root   string // of what is masked
	masked []string
	path   []string
	header string // the name of the entry of header_map that is being written
}

// A zone is a part of the input document that has rules of its own.
type zone int

const (
	inPlain zone = iota // texts are masked by their shape, and nothing by its name
	inNamed             // names of callers, issuers and operators
	inRoot
	inAttributes
	inPeer
	inRequest
	inHTTP
	inHeaders
	inHeaderMap
	inHeaderEntries
	inPath
	inURL
	inOpaque // text that may hold anything
	inTokens
	inSlot
	inClaims
	inBody
)

// zones say what is under the names that are Sallyport's own. Any other is inPlain.
var zones = map[zone]map[string]zone{
	inRoot: {
		"attributes": inAttributes, "tokens": inTokens, "parsed_path": inPath, "parsed_query": inNamed, "parsed_body": inBody,
	},
	inAttributes: {
		"source": inPeer, "destination": inPeer, "request": inRequest,
		"contextExtensions": inNamed, "metadataContext": inNamed, "routeMetadataContext": inNamed,
	},
	inPeer:      {"labels": inNamed},
	inRequest:   {"http": inHTTP},
	inHTTP:      {"headers": inHeaders, "headerMap": inHeaderMap, "path": inURL, "body": inOpaque, "rawBody": inOpaque},
	inHeaderMap: {"headers": inHeaderEntries},
	inSlot:      {"claims": inClaims, "header": inNamed},
}

// below is the zone under a name.
func (z zone) below(name string) zone {
	switch z {
	case inNamed, inHeaders, inClaims, inBody:
		return inNamed
	case inTokens:
		return inSlot
	case inOpaque, inHeaderEntries:
		return z
	}
	return zones[z][name]
}

// A spot is where a value stands.
type spot struct {
	zone zone
	name string // the nearest that is not Sallyport's own
	read *part
}

// under is the spot of a member.
func (at spot) under(name string) spot {
	next := spot{zone: at.zone.below(name), read: at.read.at(name)}
	if next.zone == inNamed || at.zone == inHeaderEntries {
		next.name = name
	}
	if at.zone == inHeaders && name == ":path" {
		next.zone = inURL
	}
	return next
}

// value writes the next value of the sheet.
func (c *clerk) value(at spot) {
	mark := c.rest[0]
	c.rest = c.rest[1:]
	switch mark {
	case markNull:
		c.raw("null")
	case markFalse:
		c.raw("false")
	case markTrue:
		c.raw("true")
	case markNumber:
		c.raw(c.text(c.length()))
	case markString:
		c.string(at, c.text(c.length()))
	case markArray:
		c.array(at)
	case markObject:
		c.object(at)
	case markAside:
		c.text(sha256.Size)
		c.aside(at)
	case markBody:
		c.term(at, c.nextAside().value)
	}
}

func (c *clerk) raw(text string) { c.out = append(c.out, text...) }

// string writes a text as far as it may be kept.
func (c *clerk) string(at spot, text string) {
	var kept string
	switch at.zone {
	case inNamed:
		kept = mask.Value(at.name, text)
	case inURL:
		kept = mask.Path(text)
	case inOpaque:
		kept = mask.Text
	case inHeaderEntries:
		kept = c.headerEntry(at.name, text)
	default:
		kept = mask.Free(text)
	}
	c.kept(text, kept)
}

func (c *clerk) kept(text, kept string) {
	if kept != text {
		c.note()
	}
	c.out = mask.AppendJSON(c.out, kept)
}

// headerEntry is a text of an entry of header_map, where the name of the header comes first.
func (c *clerk) headerEntry(member, text string) string {
	switch member {
	case "key":
		c.header = text
		return text
	case "rawValue":
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || mask.Value(c.header, string(raw)) != string(raw) {
			return mask.Text
		}
		return text
	}
	return mask.Value(c.header, text)
}

// note lists the place as masked.
func (c *clerk) note() {
	escaped := make([]string, 0, len(c.path)+1)
	escaped = append(escaped, c.root)
	for _, name := range c.path {
		escaped = append(escaped, url.PathEscape(name))
	}
	c.masked = append(c.masked, strings.Join(escaped, "/"))
}

func (c *clerk) array(at spot) {
	c.raw("[")
	before := ""
	for i := 0; c.rest[0] != end; i++ {
		if i > 0 {
			c.raw(",")
		}
		c.path = append(c.path, strconv.Itoa(i))
		if at.zone == inPath {
			c.rest = c.rest[1:] // the mark of a string
			segment := c.text(c.length())
			c.kept(segment, mask.Segment(before, segment))
			before = segment
		} else {
			c.value(at)
		}
		c.path = c.path[:len(c.path)-1]
	}
	c.rest = c.rest[1:]
	c.raw("]")
}

func (c *clerk) object(at spot) {
	c.raw("{")
	for length := c.length(); length > 0; length = c.length() {
		c.member(at, c.text(length-1), c.value)
	}
	c.raw("}")
}

// member writes a name and its value. Of a value under a secret's name, or of a claim that is not
// kept, nothing is left but that it is there.
func (c *clerk) member(at spot, name string, write func(spot)) {
	if c.out[len(c.out)-1] != '{' {
		c.raw(",")
	}
	c.out = append(mask.AppendJSON(c.out, mask.Free(name)), ':')
	c.path = append(c.path, name)
	begin, noted := len(c.out), len(c.masked)
	next := at.under(name)
	if write(next); c.hides(at, next) && !harmless(c.out[begin:]) {
		c.out, c.masked = c.out[:begin], c.masked[:noted]
		c.kept("", mask.Text)
	}
	c.path = c.path[:len(c.path)-1]
}

func (c *clerk) hides(at, next spot) bool {
	return next.zone == inNamed && (!c.keeps(at, next.name) || mask.Judge(next.name) == mask.Secret)
}

// keeps tells whether a member may be kept. Where all are read, nobody has said which matter.
func (c *clerk) keeps(at spot, name string) bool {
	var listed []string
	switch at.zone {
	case inClaims:
		listed = c.Claims
	case inBody:
		listed = c.Body
	default:
		return true
	}
	if slices.Contains(listed, name) || slices.Contains(listed, "*") {
		return true
	}
	named := at.read != nil && !at.read.whole
	return named && (!c.all || at.read.at(name) != nil)
}

// harmless tells whether a value is none, or a bit.
func harmless(value []byte) bool {
	switch string(value) {
	case "null", "true", "false", `""`, "{}", "[]":
		return true
	}
	return false
}

// aside writes claims or a token's header, which are written down once for all checks with the token.
func (c *clerk) aside(at spot) {
	a := c.nextAside()
	if c.all { // what is kept of it depends on what the policy reads
		recorded, masked := c.apart(at, a)
		c.out, c.masked = append(c.out, recorded...), append(c.masked, masked...)
		return
	}
	a.record.Do(func() { a.recorded, a.masked = c.apart(at, a) })
	c.out = append(c.out, a.recorded...)
	c.masked = append(c.masked, a.masked...)
}

// apart writes what stands aside, by itself.
func (c *clerk) apart(at spot, a *aside) (recorded []byte, masked []string) {
	var whole sheet
	if whole.json(&part{whole: true}, a.source) != nil {
		return []byte("null"), nil // it was written before, see asides.of
	}
	once := clerk{Recording: c.Recording, all: c.all, root: c.root, rest: string(whole.bytes), path: slices.Clone(c.path)}
	once.value(at)
	return once.out, once.masked
}

func (c *clerk) nextAside() *aside {
	a := c.asides[0]
	c.asides = c.asides[1:]
	return a
}

// term writes a body, as far as it is read.
func (c *clerk) term(at spot, value ast.Value) {
	if _, hasMembers := value.(ast.Object); at.zone == inBody && !hasMembers && !c.keeps(at, "*") {
		c.kept("", mask.Text)
		return
	}
	switch v := value.(type) {
	case ast.String:
		c.string(at, string(v))
	case *ast.Array:
		c.raw("[")
		for i := range v.Len() {
			if i > 0 {
				c.raw(",")
			}
			c.path = append(c.path, strconv.Itoa(i))
			c.term(at, v.Elem(i).Value)
			c.path = c.path[:len(c.path)-1]
		}
		c.raw("]")
	case ast.Object:
		c.raw("{")
		v.Foreach(func(key, value *ast.Term) {
			if name, ok := key.Value.(ast.String); ok && (c.all || at.read.at(string(name)) != nil) {
				c.member(at, string(name), func(next spot) { c.term(next, value.Value) })
			}
		})
		c.raw("}")
	default:
		c.raw(value.String()) // null, a boolean or a number
	}
}

// length reads what [encoding/binary.AppendUvarint] wrote.
func (c *clerk) length() int {
	r := reader{rest: c.rest}
	length := r.length()
	c.rest = r.rest
	return length
}

func (c *clerk) text(length int) string {
	text := c.rest[:length]
	c.rest = c.rest[length:]
	return text
}
