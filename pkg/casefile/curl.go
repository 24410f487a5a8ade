package casefile

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// curl is a curl command line: what it says of the request.
type curl struct {
	method    string
	urls      []string
	headers   []string // -H, as written
	body      string
	hasBody   bool
	isJSON    bool
	head, get bool
	user      string
	cookies   []string
	protocol  string
	pathAsIs  bool
	own       map[string]string // headers that curl writes itself
}

// parseCurl reads a line such as: curl -X POST https://shop.example.com/orders -d '{"amount": 5}'.
// Errors do not quote the line, which may hold credentials; they name options.
func parseCurl(line string) (*message, error) {
	args, err := words(line)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 || path.Base(args[0]) != "curl" {
		return nil, errors.New("the line must begin with curl")
	}
	c := &curl{protocol: "HTTP/1.1", own: map[string]string{"user-agent": "curl", "accept": "*/*"}}
	if err := c.arguments(args[1:]); err != nil {
		return nil, err
	}
	return c.message()
}

func (c *curl) arguments(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		used, err := 0, error(nil)
		switch {
		case arg == "--":
			c.urls = append(c.urls, args...)
			return nil
		case strings.HasPrefix(arg, "--"):
			used, err = c.option(arg, arg[2:], args)
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			used, err = c.short(arg[1:], args)
		default:
			c.urls = append(c.urls, arg)
		}
		if err != nil {
			return err
		}
		args = args[used:]
	}
	return nil
}

// short reads letters such as sSL or XPOST: after one that takes a value, the rest is the value.
func (c *curl) short(letters string, args []string) (used int, err error) {
	for i := range letters {
		shown := "-" + letters[i:i+1]
		name, ok := shortOptions[letters[i]]
		if !ok {
			return 0, unsupported(shown)
		}
		if valued(name) {
			if rest := letters[i+1:]; rest != "" {
				_, err := c.option(shown, name, []string{rest})
				return 0, err
			}
			return c.option(shown, name, args)
		}
		if _, err := c.option(shown, name, nil); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// option carries out one option, and tells how many of args were its value.
func (c *curl) option(shown, name string, args []string) (used int, err error) {
	if why, refused := refusedOptions[name]; refused {
		return 0, fmt.Errorf("%s: %s", shown, why)
	}
	if set, ok := switches[name]; ok {
		set(c)
		return 0, nil
	}
	if slices.Contains(ignored, name) {
		return 0, nil
	}
	if !valued(name) {
		return 0, unsupported(shown)
	}
	if len(args) == 0 {
		return 0, fmt.Errorf("%s: its value is missing", shown)
	}
	if set, ok := values[name]; ok {
		if err := set(c, args[0]); err != nil {
			return 0, fmt.Errorf("%s: %w", shown, err)
		}
	}
	return 1, nil
}

func valued(name string) bool {
	_, ok := values[name]
	return ok || slices.Contains(ignoredValues, name)
}

func unsupported(option string) error {
	return fmt.Errorf("%s is not supported; it may change the request, so leave it out or write the request as fields", option)
}

// message is the request that the line makes.
func (c *curl) message() (*message, error) {
	if len(c.urls) != 1 {
		return nil, fmt.Errorf("one URL is needed, there are %d", len(c.urls))
	}
	m := &message{method: c.verb(), protocol: c.protocol, rawHeaders: true, packed: true}
	removed, err := c.customHeaders(m)
	if err != nil {
		return nil, err
	}
	if c.user != "" {
		m.suggest("authorization", basic(c.user))
	}
	if err := m.at(c.urls[0]); err != nil {
		return nil, err
	}
	if c.get && c.hasBody {
		separator := "?"
		if strings.Contains(m.path, "?") {
			separator = "&"
		}
		m.path += separator + c.body
	} else if c.hasBody {
		m.body, m.hasBody = []byte(c.body), true
		c.own["content-type"] = "application/x-www-form-urlencoded"
	}
	if c.isJSON {
		c.own["content-type"], c.own["accept"] = "application/json", "application/json"
	}
	if len(c.cookies) > 0 {
		c.own["cookie"] = strings.Join(c.cookies, ";")
	}
	for _, name := range []string{"user-agent", "accept", "accept-encoding", "referer", "cookie", "authorization", "content-type"} {
		if value, ok := c.own[name]; ok && !slices.Contains(removed, name) {
			m.suggest(name, value)
		}
	}
	if m.path = ascii(m.path); !c.pathAsIs {
		m.path = withoutDots(m.path)
	}
	return m, m.hostFromHeader()
}

func (c *curl) verb() string {
	switch {
	case c.method != "":
		return c.method
	case c.head:
		return "HEAD"
	case c.hasBody && !c.get:
		return "POST"
	}
	return "GET"
}

// customHeaders adds those of -H: "Name: value", "Name;" for an empty value; "Name:" removes the one
// that curl would write.
func (c *curl) customHeaders(m *message) (removed []string, err error) {
	for _, line := range c.headers {
		name, value, found := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if before, empty := strings.CutSuffix(line, ";"); !found && empty {
			name, found = before, true
		} else if found && value == "" {
			removed = append(removed, strings.ToLower(name))
			continue
		}
		if !found {
			return nil, errors.New(`-H: a header is written as "Name: value"`)
		}
		if err := checkHeader(name, value); err != nil {
			return nil, fmt.Errorf("-H: %w", err)
		}
		m.add(name, value)
	}
	return removed, nil
}

// hostFromHeader lets -H 'Host: …' name the host, as it does on the wire.
func (m *message) hostFromHeader() error {
	for i, h := range m.headers {
		if h.Name == "host" {
			m.host = h.Value
			m.headers = slices.Delete(m.headers, i, i+1)
			break
		}
	}
	if m.has("host") {
		return errors.New("-H: there are two Host headers")
	}
	return nil
}

// ascii escapes all beyond ASCII, as curl does.
func ascii(target string) string {
	var out strings.Builder
	for i := range len(target) {
		if c := target[i]; c < 0x80 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

// withoutDots removes dot segments as curl does without --path-as-is (RFC 3986, section 5.2.4).
func withoutDots(target string) string {
	in, query, hasQuery := strings.Cut(target, "?")
	var out []string
	segments := strings.Split(in, "/")[1:]
	for i, segment := range segments {
		last := i == len(segments)-1
		switch {
		case segment == "." || segment == "..":
			if segment == ".." && len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, segment)
		}
	}
	result := "/" + strings.Join(out, "/")
	if hasQuery {
		result += "?" + query
	}
	return result
}

// add appends to the body; curl joins the parts of a form with "&".
func (c *curl) add(part, separator string) {
	if c.hasBody {
		c.body += separator
	}
	c.body += part
	c.hasBody = true
}

var errReadsFile = errors.New("it would read a file; write the content out")

func (c *curl) data(part string) error {
	if strings.HasPrefix(part, "@") {
		return errReadsFile
	}
	c.add(part, "&")
	return nil
}

// encoded is --data-urlencode: content, =content or name=content.
func (c *curl) encoded(part string) error {
	name, content, found := strings.Cut(part, "=")
	if strings.Contains(name, "@") {
		return errReadsFile
	}
	escaped := url.QueryEscape(content)
	switch {
	case !found:
		escaped = url.QueryEscape(part)
	case name != "":
		escaped = name + "=" + escaped
	}
	c.add(escaped, "&")
	return nil
}
