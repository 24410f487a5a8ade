package casefile

import (
	"errors"
	"fmt"
	"strings"
)

// words splits a command line as a POSIX shell does (XCU, section 2.2): quotes, backslashes, and a
// backslash before the end of a line; bash's $'…' too, which browsers write when they copy a request
// as curl. What a shell would expand or run is refused: nothing here is a shell.
func words(line string) ([]string, error) {
	s := shell{in: strings.ReplaceAll(line, "\r\n", "\n")}
	for s.in != "" {
		if err := s.next(); err != nil {
			return nil, err
		}
	}
	s.end()
	return s.words, nil
}

// A shell reads a line from its beginning.
type shell struct {
	in     string
	word   strings.Builder
	inWord bool
	words  []string
}

func (s *shell) end() {
	if s.inWord {
		s.words = append(s.words, s.word.String())
	}
	s.word.Reset()
	s.inWord = false
}

func (s *shell) put(text string) {
	s.inWord = true
	s.word.WriteString(text)
}

func (s *shell) skip(n int) { s.in = s.in[min(n, len(s.in)):] }

// next reads one character, or all that is quoted.
func (s *shell) next() error {
	c := s.in[0]
	switch {
	case strings.HasPrefix(s.in, "\\\n"):
		s.skip(2)
	case c == ' ' || c == '\t' || c == '\n':
		s.end()
		s.skip(1)
	case c == '\\' && len(s.in) > 1:
		s.put(s.in[1:2])
		s.skip(2)
	case c == '\'':
		return s.single()
	case c == '"':
		return s.double()
	case strings.HasPrefix(s.in, "$'"):
		s.skip(2)
		return s.escaped()
	case c == '#' && !s.inWord:
		return errors.New("a comment is not supported")
	case strings.ContainsRune("\\|&;<>()$`", rune(c)):
		return fmt.Errorf("a shell would not take %q as text; put the word in single quotes", string(c))
	default:
		s.put(string(c))
		s.skip(1)
	}
	return nil
}

var errUnclosed = errors.New("a quote is not closed")

func (s *shell) single() error {
	text, rest, closed := strings.Cut(s.in[1:], "'")
	if !closed {
		return errUnclosed
	}
	s.put(text)
	s.in = rest
	return nil
}

func (s *shell) double() error {
	s.put("")
	for s.skip(1); s.in != ""; s.skip(1) {
		switch c := s.in[0]; {
		case c == '"':
			s.skip(1)
			return nil
		case strings.HasPrefix(s.in, "\\\n"):
			s.skip(1)
		case c == '\\' && len(s.in) > 1 && strings.ContainsRune("\"\\$`", rune(s.in[1])):
			s.put(s.in[1:2])
			s.skip(1)
		case c == '$' || c == '`':
			return fmt.Errorf("a shell would expand %q; put the word in single quotes", string(c))
		default:
			s.put(string(c))
		}
	}
	return errUnclosed
}

// escaped reads $'…' (bash, "ANSI-C Quoting") after its beginning.
func (s *shell) escaped() error {
	s.put("")
	for s.in != "" {
		switch {
		case s.in[0] == '\'':
			s.skip(1)
			return nil
		case s.in[0] == '\\':
			text, n, err := unescape(s.in)
			if err != nil {
				return err
			}
			s.put(text)
			s.skip(n)
		default:
			s.put(s.in[:1])
			s.skip(1)
		}
	}
	return errUnclosed
}

// unescape reads the escape that in begins with, and tells its length.
func unescape(in string) (text string, length int, err error) {
	if len(in) < 2 {
		return "", 0, errUnclosed
	}
	plain := map[byte]string{'n': "\n", 't': "\t", 'r': "\r", '\\': "\\", '\'': "'", '"': "\"", '?': "?"}
	if text, ok := plain[in[1]]; ok {
		return text, 2, nil
	}
	digits, ok := map[byte]int{'x': 2, 'u': 4, 'U': 8}[in[1]]
	if !ok {
		return "", 0, fmt.Errorf(`the escape "\%s" is not supported in $'…'`, string(in[1]))
	}
	value, n := 0, 0
	for ; n < digits && 2+n < len(in); n++ {
		digit := strings.Index("0123456789abcdef", strings.ToLower(in[2+n:3+n]))
		if digit < 0 {
			break
		}
		value = value<<4 | digit
	}
	switch {
	case n == 0:
		return "", 0, fmt.Errorf(`the escape "\%s" has no digits`, string(in[1]))
	case in[1] == 'x':
		return string([]byte{byte(value)}), 2 + n, nil
	}
	return string(rune(value)), 2 + n, nil
}
