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
// Nothing can be kept that this package masks; a configuration can only mask more. What it does not
// know is a secret under an innocent name with an innocent shape: that is why values are recorded
// only where a policy reads them or an operator lists them.
package mask

// Text stands for what was masked.
const Text = "[masked]"

// Value is a value as it may be recorded under its name.
func Value(name, value string) string {
	switch Judge(name) {
	case Secret:
		if value == "" {
			return ""
		}
		return Text
	case Doubtful:
		if random(value) {
			return Text
		}
	case Harmless:
	}
	return Free(value)
}

// Path is the path of a request, with or without its query, as it may be recorded. A segment that
// looks random is masked under a name in the segment before it: /reset-token/4f3c….
func Path(path string) string {
	clean := Free(path)
	for begin := 0; begin < len(clean); {
		end := segmentEnd(clean, begin)
		if segment := clean[begin:end]; random(segment) && begin > 1 && Judge(before(clean, begin)) != Harmless {
			clean = clean[:begin] + Text + clean[end:]
			end = begin + len(Text)
		}
		if end >= len(clean) || clean[end] == '?' {
			break
		}
		begin = end + 1
	}
	return clean
}

func segmentEnd(path string, begin int) int {
	for i := begin; i < len(path); i++ {
		if path[i] == '/' || path[i] == '?' {
			return i
		}
	}
	return len(path)
}

// before is the segment before the one that begins at a place.
func before(path string, begin int) string {
	end := begin - 1
	for begin = end; begin > 0 && path[begin-1] != '/'; begin-- {
	}
	return path[begin:end]
}
