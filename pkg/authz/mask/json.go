package mask

import "unicode/utf8"

// AppendJSON appends a text as a JSON string (RFC 8259, section 7). Bytes that are not UTF-8 become
// U+FFFD. It is [Free] of nothing; encoding/json would take three times as long.
func AppendJSON(to []byte, text string) []byte {
	to = append(to, '"')
	begin := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, size := utf8.DecodeRuneInString(text[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		to = appendEscaped(append(to, text[begin:i]...), c)
		i++
		begin = i
	}
	return append(append(to, text[begin:]...), '"')
}

func appendEscaped(to []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch {
	case c == '"' || c == '\\':
		return append(to, '\\', c)
	case c == '\n':
		return append(to, '\\', 'n')
	case c >= utf8.RuneSelf:
		return append(to, "\uFFFD"...)
	}
	return append(to, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
}
