package differential_test

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
)

// A mutation makes a token, most often a bad one, of a good one that is not written down yet.
type mutation struct {
	name  string
	apply func(s *subject) string
}

// mutations are what is tried with a token of every algorithm.
func mutations() []mutation {
	return slices.Concat(
		[]mutation{{"nothing changed", (*subject).sign}},
		textMutations, segmentMutations, headerMutations, claimMutations, jsonMutations, signatureMutations, keyMutations,
	)
}

// textMutations change a token that has been signed.
var textMutations = []mutation{
	{"a character replaced", func(s *subject) string {
		text := []byte(s.sign())
		text[s.IntN(len(text))] = byte(s.IntN(128))
		return string(text)
	}},
	{"a character replaced by one of base64url", func(s *subject) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		text := []byte(s.sign())
		text[s.IntN(len(text))] = alphabet[s.IntN(len(alphabet))]
		return string(text)
	}},
	{"a character taken out", func(s *subject) string {
		text := s.sign()
		i := s.IntN(len(text))
		return text[:i] + text[i+1:]
	}},
	{"a character put in", func(s *subject) string {
		text := s.sign()
		i := s.IntN(len(text) + 1)
		return text[:i] + pick(s, "A", ".", "=", " ", "\n", "\r", "\t", "+", "/", "%", "\x00", ",", "é") + text[i:]
	}},
	{"cut off", func(s *subject) string {
		text := s.sign()
		return text[:s.IntN(len(text))]
	}},
	{"a bit flipped below base64", func(s *subject) string {
		segments := strings.Split(s.sign(), ".")
		i := s.IntN(3)
		bytes := []byte(decode(segments[i]))
		bytes[s.IntN(len(bytes))] ^= 1 << s.IntN(8)
		segments[i] = encode(string(bytes))
		return strings.Join(segments, ".")
	}},
	{"spaces around", func(s *subject) string {
		return pick(s, "", " ", "\t", "\n", "\r\n") + s.sign() + pick(s, " ", "\t", "\n", "\r\n", "\x00", ";", `"`)
	}},
}

// segmentMutations change the segments as a whole, or how they are spelled.
var segmentMutations = []mutation{
	{"segments in another order", func(s *subject) string {
		segments := strings.Split(s.sign(), ".")
		s.Shuffle(3, func(i, j int) { segments[i], segments[j] = segments[j], segments[i] })
		return strings.Join(segments, ".")
	}},
	{"a segment too few or too many", func(s *subject) string {
		segments := strings.Split(s.sign(), ".")
		i := s.IntN(3)
		return strings.Join(pick(s,
			slices.Delete(slices.Clone(segments), i, i+1), slices.Insert(slices.Clone(segments), i, segments[s.IntN(3)]),
			slices.Insert(slices.Clone(segments), i, ""), append(slices.Clone(segments), ""),
		), ".")
	}},
	{"an empty segment", func(s *subject) string {
		segments := strings.Split(s.sign(), ".")
		segments[s.IntN(3)] = ""
		return strings.Join(segments, ".")
	}},
	{"segments of two tokens", func(s *subject) string {
		one := strings.Split(s.sign(), ".")
		s.claims["sub"], s.header["typ"] = "mallory", pick[any](s, "JWT", "at+jwt")
		two := strings.Split(s.sign(), ".")
		i := s.IntN(3)
		one[i] = two[i]
		return strings.Join(one, ".")
	}},
	{"another spelling of base64", func(s *subject) string {
		segments := strings.Split(s.sign(), ".")
		i := s.IntN(3)
		segments[i] = respell(s, segments[i])
		return strings.Join(segments, ".")
	}},
	{"another spelling of base64, signed so", func(s *subject) string {
		header, payload := encode(object(s.header)), encode(object(s.claims))
		if s.IntN(2) == 0 {
			return s.signSegments(respell(s, header), payload)
		}
		return s.signSegments(header, respell(s, payload))
	}},
	{"JSON serialization", func(s *subject) string {
		segments := strings.Split(s.sign(), ".")
		return text(map[string]any{"protected": segments[0], "payload": segments[1], "signature": segments[2]})
	}},
	{"a token in the token", func(s *subject) string { return s.signText(object(s.header), s.sign()) }},
}

// respell writes base64url in a way that some decoders forgive.
func respell(s *subject, segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	i := s.IntN(len(segment))
	return pick(s,
		segment+"=", segment+"==", segment+strings.Repeat("=", (4-len(segment)%4)%4),
		base64.StdEncoding.EncodeToString([]byte(decode(segment))),
		base64.RawStdEncoding.EncodeToString([]byte(decode(segment))),
		segment[:len(segment)-1]+alphabet[last^1:last^1+1], // a trailing bit, where there is one
		segment[:i]+"\n"+segment[i:], segment[:i]+"\r\n"+segment[i:], segment+"\n", segment+" ", segment+"A",
	)
}

// headerMutations are signed as they are.
var headerMutations = []mutation{
	{"a header member of an odd value", func(s *subject) string {
		s.header[pick(s, headerMembers...)] = pick(s, oddValues...)
		return s.sign()
	}},
	{"a header member missing", func(s *subject) string {
		delete(s.header, pick(s, "alg", "kid", "typ"))
		return s.sign()
	}},
	{"a header member twice", func(s *subject) string {
		name := pick(s, "alg", "kid", "typ", "x")
		header := object(s.header)
		return s.signText(header[:len(header)-1]+","+member(name, pick(s, s.header[name], any(raw(`"none"`)), any(pick(s, oddValues...))))+"}", object(s.claims))
	}},
	{"a header member in another case", func(s *subject) string {
		name := pick(s, headerMembers...)
		header := object(s.header)
		if s.IntN(2) == 0 {
			return s.signText(strings.Replace(header, `"`+name+`"`, anyCase(s, name), 1), object(s.claims))
		}
		return s.signText(header[:len(header)-1]+","+anyCase(s, name)+`:"x"}`, object(s.claims))
	}},
	{"another algorithm named", func(s *subject) string {
		s.header["alg"] = pick(s, append([]string{"none", "None", "", "HS256", "HS512", "ES256K", "Ed448", "RSA-OAEP", "dir", strings.ToLower(s.key.Algorithm)}, asymmetric...)...)
		return s.sign()
	}},
	{"another key named", func(s *subject) string {
		s.header["kid"] = pick(s, s.other.ID, "", "unknown", "../rs256", strings.ToUpper(s.key.ID), s.key.ID+"\x00", s.key.ID+" ")
		return s.sign()
	}},
}

// claimMutations are signed as they are.
var claimMutations = []mutation{
	{"a claim of an odd value", oneClaim}, {"a claim of an odd value, again", oneClaim}, {"a claim of an odd value, and again", oneClaim},
	{"a date of an odd value", func(s *subject) string {
		s.claims[pick(s, "exp", "nbf", "iat")] = pick(s, oddValues...)
		return s.sign()
	}},
	{"an audience of an odd value", func(s *subject) string {
		s.claims["aud"] = pick(s, oddValues...)
		return s.sign()
	}},
	{"two claims of odd values", func(s *subject) string {
		s.claims[pick(s, claimMembers...)] = pick(s, oddValues...)
		return oneClaim(s)
	}},
	{"a date near the clock", func(s *subject) string {
		s.claims[pick(s, "exp", "nbf", "iat")] = standing - 62 + s.IntN(125)
		return s.sign()
	}},
	{"a claim missing", func(s *subject) string {
		delete(s.claims, pick(s, slices.Sorted(maps.Keys(s.claims))...))
		return s.sign()
	}},
	{"a claim twice", func(s *subject) string {
		name := pick(s, slices.Sorted(maps.Keys(s.claims))...)
		claims := object(s.claims)
		return s.signText(object(s.header), claims[:len(claims)-1]+","+member(name, pick(s, s.claims[name], any(pick(s, oddValues...))))+"}")
	}},
	{"a claim in another case", func(s *subject) string {
		name := pick(s, slices.Sorted(maps.Keys(s.claims))...)
		claims := object(s.claims)
		if s.IntN(2) == 0 {
			return s.signText(object(s.header), strings.Replace(claims, `"`+name+`"`, anyCase(s, name), 1))
		}
		return s.signText(object(s.header), claims[:len(claims)-1]+","+anyCase(s, name)+":"+text(s.claims[name])+"}")
	}},
}

func oneClaim(s *subject) string {
	s.claims[pick(s, claimMembers...)] = pick(s, oddValues...)
	return s.sign()
}

// jsonMutations write the same, or nearly the same, in another way, and sign it.
var jsonMutations = []mutation{
	{"another spelling of JSON", func(s *subject) string { return s.signText(rewrite(s, object(s.header)), rewrite(s, object(s.claims))) }},
	{"a header that is nearly JSON", func(s *subject) string { return s.signText(spoil(s, object(s.header)), object(s.claims)) }},
	{"claims that are nearly JSON", func(s *subject) string { return s.signText(object(s.header), spoil(s, object(s.claims))) }},
	{"a byte of the claims replaced, signed so", func(s *subject) string {
		claims := []byte(object(s.claims))
		claims[s.IntN(len(claims))] = byte(s.IntN(256))
		return s.signText(object(s.header), string(claims))
	}},
	{"deep claims", func(s *subject) string {
		depth := 1 + s.IntN(40)
		s.claims["x"] = raw(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		return s.sign()
	}},
}

// rewrite keeps what a text means.
func rewrite(s *subject, object string) string {
	space := pick(s, " ", "\t", "\n", "\r\n  ")
	return pick(s,
		space+object+space,
		strings.ReplaceAll(object, ",", space+","+space),
		strings.ReplaceAll(object, `":`, `"`+space+":"+space),
		strings.ReplaceAll(object, "a", `\u0061`),
		strings.ReplaceAll(object, "/", `\/`),
	)
}

// spoil makes of a text what is no JSON object, or one that readers take for different things.
func spoil(s *subject, object string) string {
	return pick(s,
		object+"x", object+object, object+",", object+"\x00", object+"}", "\ufeff"+object, "["+object+"]", object[:len(object)-1],
		object[:len(object)-1]+",}", "null", `""`, "1", "", " ", text(object), strings.ReplaceAll(object, `"`, `'`),
		object+"//comment", strings.Replace(object, "{", "{/**/", 1), strings.Replace(object, "a", "\xff", 1), strings.Replace(object, "a", "\x01", 1),
		strings.Replace(object, "a", `\u0000`, 1), strings.Replace(object, "a", `\ud800`, 1), "\xff\xfe"+object,
	)
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// decode gives what it could read.
func decode(segment string) string {
	decoded, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return segment
	}
	return string(decoded)
}
