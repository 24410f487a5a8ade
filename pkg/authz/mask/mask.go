// Package mask keeps credentials out of what is recorded. It judges a value by two things, and
// either is enough:
//
//  1. Its name (name.go). Under "authorization", "cookie", "x-api-key" or anything with "token",
//     "secret" or "password" in it, no value is kept. Under a doubtful name, such as "key" or
//     "code", none that looks random.
//  2. Its shape (shape.go). A JSON Web Token, "Bearer", "Basic" and the other schemes with what
//     follows them, a private key, the user and password of a URL, and "name=value" with such a name
//     are taken out of any text, wherever it stands.
//
// What is taken out becomes [Text]. It is a constant, not a hash of the value: whoever holds the key
// of a hash could try guesses against the log, and a replay has no use for it, since a policy
// compares a credential with something that is not in the record.
//
// No configuration can keep what this package masks. What it does not know is a secret under an
// innocent name with an innocent shape: that is why values are recorded only where a policy reads
// them or an operator lists them.
package mask

import "strings"

// Text stands for what was masked.
const Text = "[masked]"

// Value is a value as it may be recorded under its name.
func Value(name, value string) string { return Judge(name).Value(value) }

// Value is a value as it may be recorded under a name of which this is the judgement.
func (j Judgement) Value(value string) string { return j.value(value, 0) }

func (j Judgement) value(value string, depth int) string {
	switch {
	case value == "":
		return ""
	case j == Secret, j == Doubtful && random(value):
		return Text
	}
	return free(value, depth)
}

// Path is the path of a request, with or without its query, as it may be recorded.
func Path(path string) string {
	clean, query := path, ""
	if at := strings.IndexByte(path, '?'); at >= 0 {
		clean, query = path[:at], path[at:]
	}
	e, last := editor{from: clean}, ""
	for begin := 0; begin < len(clean); {
		end := until(clean, begin, "/")
		segment := clean[begin:end]
		if kept := Segment(last, segment); kept != segment {
			e.replace(begin, end, kept)
		}
		last, begin = segment, end+1
	}
	clean = e.text()
	if query == "" {
		return clean
	}
	return clean + Free(query)
}

// Segment is a segment of a path as it may be recorded. One that looks random is masked where the
// segment before it is such a name: /reset-token/4f3c….
func Segment(before, segment string) string {
	if random(segment) && Judge(before) != Harmless {
		return Text
	}
	return Free(segment)
}
