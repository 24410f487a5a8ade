package mask

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// Free is a text without the credentials that its own shape shows. A text without any is returned
// as it is. It takes time in proportion to the length, whatever a caller sends.
func Free(text string) string { return free(text, 0) }

const (
	longest = 16 << 10 // of a text that is looked through; a longer one that has any sign is masked
	deepest = 3        // values within values: a URL in a parameter of a URL
)

func free(text string, depth int) string {
	look := glance(text)
	if look == (signs{}) {
		return text
	}
	if len(text) > longest || depth > deepest {
		return Text
	}
	if look.space && (hasScheme(text) || strings.Contains(text, "PRIVATE KEY")) || look.brace && secretMember(text) {
		return Text
	}
	if look.at {
		text = userinfo(text)
	}
	if look.equals {
		text = pairs(text, depth)
	}
	if look.space {
		text = schemes(text)
	}
	if look.token {
		text = tokens(text)
	}
	return text
}

// An editor makes a text with parts of another masked.
type editor struct {
	from string
	out  []byte
	done int // bytes of from
}

// mask takes out a part that comes after those before.
func (e *editor) mask(begin, end int) { e.replace(begin, end, Text) }

func (e *editor) replace(begin, end int, with string) {
	e.out = append(append(e.out, e.from[e.done:begin]...), with...)
	e.done = end
}

func (e *editor) text() string {
	if e.out == nil {
		return e.from
	}
	return string(append(e.out, e.from[e.done:]...))
}

// signs are what a text must have to hold a credential. Most have none, or a space alone.
type signs struct{ space, equals, at, brace, token bool }

func glance(text string) (look signs) {
	for i := range len(text) {
		switch text[i] {
		case ' ', '\t':
			look.space = true
		case '=':
			look.equals = true
		case '@':
			look.at = true
		case '{':
			look.brace = true
		case '%':
			look.token = true
		case 'e':
			if i+1 < len(text) && (text[i+1] == 'y' || text[i+1] == 'w') && (i == 0 || !isAlphanumeric(text[i-1])) {
				look.token = true
			}
		}
	}
	return look
}

// The schemes of HTTP authentication that carry a credential (IANA's registry, and what is common).
// Those of plainWords are words of the language as well.
var (
	schemeNames = []string{
		"basic", "bearer", "dpop", "digest", "negotiate", "ntlm", "hoba", "privatetoken", "apikey", "token", "jwt", "gnap",
		"vapid", "concealed", "scram-sha-256", "aws4-hmac-sha256", "sharedkey", "sharedaccesssignature", "hmac-sha256",
	}
	plainWords = []string{"basic", "digest", "negotiate", "token", "jwt", "concealed"}

	// What comes after a scheme's name in sentences about it.
	schemeTalk = []string{
		"auth", "authentication", "authorization", "challenge", "credential", "credentials", "error", "header", "prefix",
		"realm", "scheme", "scope", "token", "tokens", "type", "is", "or", "was", "of", "has", "for", "in", "and", "from",
	}
)

// hasScheme tells whether a text is a scheme and a credential, or its parameters.
func hasScheme(text string) bool {
	scheme, rest, ok := strings.Cut(strings.TrimSpace(text), " ")
	rest = strings.TrimSpace(rest)
	if !ok || rest == "" || !isOneFold(scheme, schemeNames) {
		return false
	}
	return strings.Contains(rest, "=") || !strings.Contains(rest, " ") && follows(scheme, rest)
}

// follows tells whether a word after a scheme's name may be a credential.
func follows(scheme, word string) bool {
	if isOneFold(strings.TrimRight(word, ".,:;)"), schemeTalk) {
		return false
	}
	lower := strings.TrimFunc(word, func(r rune) bool { return 'a' <= r && r <= 'z' }) == ""
	return !lower || !isOneFold(scheme, plainWords)
}

func isOneFold(word string, words []string) bool {
	for _, w := range words {
		if len(w) == len(word) && strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}

// schemes masks the word after a scheme's name, amid a text.
func schemes(text string) string {
	e := editor{from: text}
	for begin := 0; ; {
		space := strings.IndexByte(text[begin:], ' ')
		if space < 0 {
			return e.text()
		}
		scheme := strings.Trim(text[begin:begin+space], `"'(,;:=`)
		begin += space + 1
		if len(scheme) < 3 || !isOneFold(scheme, schemeNames) {
			continue
		}
		end := until(text, begin, " ")
		if end > begin && follows(scheme, text[begin:end]) {
			e.mask(begin, end)
		}
	}
}

// until is where the first of some bytes is, or the end.
func until(text string, from int, stops string) int {
	if at := strings.IndexAny(text[from:], stops); at >= 0 {
		return from + at
	}
	return len(text)
}

// userinfo masks the user and password of URLs (RFC 3986, section 3.2.1).
func userinfo(text string) string {
	e := editor{from: text}
	for from := 0; ; {
		at := strings.Index(text[from:], "://")
		if at < 0 {
			return e.text()
		}
		from += at + len("://")
		end := until(text, from, "/?# \"'")
		if sign := strings.LastIndexByte(text[from:end], '@'); sign >= 0 {
			e.mask(from, from+sign)
		}
		from = end
	}
}

// pairs masks the values of name=value, as in a query, a cookie or a parameter of a header. A value may
// be a query itself, percent-encoded.
func pairs(text string, depth int) string {
	e := editor{from: text}
	for from := 0; ; {
		at := strings.IndexByte(text[from:], '=')
		if at < 0 {
			return e.text()
		}
		begin := from + strings.LastIndexAny(text[from:from+at], "?&;,# \t\"'{(/") + 1
		at += from
		from = valueEnd(text, at+1)
		name, value := unescape(text[begin:at]), unescape(text[at+1:from])
		if Judge(name).value(value, depth+1) != value {
			e.mask(at+1, from)
		}
	}
}

// valueEnd finds the end of a value, which may be a quoted string.
func valueEnd(text string, from int) int {
	if from < len(text) && text[from] == '"' {
		return until(text, from+1, `"`)
	}
	return until(text, from, "&;,# \t\"'")
}

func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// secretMember tells whether a text is JSON, more or less, with a member that may be a credential.
func secretMember(text string) bool {
	if !strings.Contains(text, `{`) {
		return false
	}
	parts := strings.Split(text, `"`)
	for i := 1; i+1 < len(parts); i++ {
		if strings.HasPrefix(strings.TrimLeft(parts[i+1], " \t\r\n"), ":") && Judge(parts[i]) != Harmless {
			return true
		}
	}
	return false
}

// tokens masks JSON Web Tokens, whole or in part (RFC 7519, section 3): words with a part that is an
// object in base64url.
func tokens(text string) string {
	e := editor{from: text}
	for begin := 0; begin < len(text); {
		if !isWord(text[begin]) {
			begin++
			continue
		}
		end := begin
		for end < len(text) && isWord(text[end]) {
			end++
		}
		if hasObject(text[begin:end]) {
			e.mask(begin, end)
		}
		begin = end
	}
	return e.text()
}

// hasObject tells whether a part of a word begins as an object does. Parts are parted by dots, which
// may be percent-encoded, as what is around a token may be.
func hasObject(word string) bool {
	const shortest = 12 // {"alg":…
	for i := 0; i+shortest <= len(word); i++ {
		starts := i == 0 || word[i-1] == '.' || i >= 3 && word[i-3] == '%'
		if starts && word[i] == 'e' && isObject(word[i:i+shortest]) { // 'e' is what '{' begins with
			return true
		}
	}
	return false
}

func isObject(begin string) bool {
	plain, err := base64.RawURLEncoding.DecodeString(begin)
	rest, ok := strings.CutPrefix(string(plain), "{")
	return err == nil && ok && strings.HasPrefix(strings.TrimLeft(rest, " \t\r\n"), `"`)
}

// isWord tells whether a byte may be of a token, or of an escape in it.
func isWord(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '_' || c == '.' || c == '%' }

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// random tells whether a text looks like one that nobody chose: long, without a space, of letters
// and digits, or of letters of both cases.
func random(text string) bool {
	const shortest = 16 // 64 bits in hexadecimal digits
	if len(text) < shortest {
		return false
	}
	var small, big, digits int
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z':
			small++
		case 'A' <= c && c <= 'Z':
			big++
		case '0' <= c && c <= '9':
			digits++
		case strings.IndexByte("-_+/=~.%:|!*$", c) < 0:
			return false
		}
	}
	return digits > 0 || small > 0 && big > 0
}
