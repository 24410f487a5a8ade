package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"go.yaml.in/yaml/v3"
)

// revocations is a list as checks use it. It is immutable.
type revocations struct {
	updated  time.Time
	size     int
	byIssuer map[string]*revoked
}

// revoked is what is revoked of one issuer.
type revoked struct {
	tokens, sessions, clients map[string]bool
	subjects                  map[string]time.Time // tokens of before are revoked
}

// marks are what a token can be revoked by; "" where the token does not have it.
type marks struct {
	token, session, client, party, subject string
	issued                                 time.Time
}

func marksOf(claims map[string]any, dates times) marks {
	text := func(name string) string {
		s, _ := claims[name].(string)
		return s
	}
	return marks{
		token: text("jti"), session: text("sid"), client: text("client_id"), party: text("azp"), subject: text("sub"),
		issued: dates.issued,
	}
}

// revokes names the claim by which a token is revoked; "" where it is not.
func (l *revocations) revokes(issuer string, m marks) (claim string) {
	of := l.byIssuer[issuer]
	if of == nil {
		return ""
	}
	// A mark that the token does not have is "", which no list has.
	switch before, found := of.subjects[m.subject]; {
	case of.tokens[m.token]:
		return "jti"
	case of.sessions[m.session]:
		return "sid"
	case of.clients[m.client]:
		return "client_id"
	case of.clients[m.party]:
		return "azp"
	case found && m.issued.Before(before): // a token without iat is as old as can be
		return "sub"
	}
	return ""
}

// equal tells whether two lists revoke the same.
func (l *revocations) equal(other *revocations) bool {
	return l.size == other.size && maps.EqualFunc(l.byIssuer, other.byIssuer, func(a, b *revoked) bool {
		return maps.Equal(a.tokens, b.tokens) && maps.Equal(a.sessions, b.sessions) && maps.Equal(a.clients, b.clients) &&
			maps.EqualFunc(a.subjects, b.subjects, time.Time.Equal)
	})
}

// parseRevocations reads a list; see [Revocation].
func parseRevocations(document any) (*revocations, error) {
	members, ok := document.(map[string]any)
	if !ok {
		return nil, errors.New("not an object")
	}
	list := &revocations{byIssuer: make(map[string]*revoked)}
	entries, ok := members["revoked"].([]any)
	if !ok {
		return nil, errors.New("revoked is missing or no list")
	}
	for name, value := range members {
		var err error
		switch name {
		case "revoked":
		case "updated":
			list.updated, err = readInstant(value)
		default:
			err = errors.New("unknown")
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	for i, entry := range entries {
		if err := list.add(entry); err != nil {
			return nil, fmt.Errorf("revoked[%d]: %w", i, err)
		}
	}
	list.size = len(entries)
	return list, nil
}

// add reads one entry. It has issuer, one other mark and, beside sub, before.
func (l *revocations) add(entry any) error {
	members, ok := entry.(map[string]any)
	if !ok {
		return errors.New("not an object")
	}
	var texts [5]string
	for i, name := range []string{"issuer", "jti", "sid", "client_id", "sub"} {
		value, present := members[name]
		if texts[i], ok = value.(string); present && (!ok || texts[i] == "") {
			return fmt.Errorf("%s is no text, or empty; a number must be in quotes", name)
		}
	}
	issuer, jti, sid, client, sub := texts[0], texts[1], texts[2], texts[3], texts[4]
	want := 2
	if sub != "" {
		want = 3
	}
	if issuer == "" || len(members) != want {
		return errors.New("must have issuer, one of jti, sid, client_id and sub, with sub also before, and nothing else")
	}
	of := l.of(issuer)
	switch {
	case jti != "":
		of.tokens[jti] = true
	case sid != "":
		of.sessions[sid] = true
	case client != "":
		of.clients[client] = true
	case sub != "":
		return of.addSubject(sub, members["before"])
	default:
		return errors.New("has an unknown member")
	}
	return nil
}

func (l *revocations) of(issuer string) *revoked {
	of := l.byIssuer[issuer]
	if of == nil {
		of = &revoked{
			tokens: make(map[string]bool), sessions: make(map[string]bool), clients: make(map[string]bool),
			subjects: make(map[string]time.Time),
		}
		l.byIssuer[issuer] = of
	}
	return of
}

func (r *revoked) addSubject(sub string, value any) error {
	before, err := readInstant(value)
	if err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if before.After(r.subjects[sub]) {
		r.subjects[sub] = before
	}
	return nil
}

// readInstant reads a time: text by RFC 3339, seconds since 1970, or what YAML took for a time.
func readInstant(value any) (time.Time, error) {
	switch value := value.(type) {
	case time.Time:
		return value, nil
	case string:
		if t, err := time.Parse(time.RFC3339, value); err == nil {
			return t, nil
		}
	case json.Number:
		return readDate(value)
	case int:
		return readDate(json.Number(fmt.Sprint(value)))
	}
	return time.Time{}, errors.New("not a time such as 2026-11-24T09:00:00Z, nor seconds since 1970")
}

// maxRevocationBytes bounds a list's file: some hundred thousand entries.
const maxRevocationBytes = 64 << 20

// A fileVersion tells two writings of a file apart.
type fileVersion struct {
	modified time.Time
	size     int64
}

// unsettled is how long after a write another could leave the file's time and size as they are.
const unsettled = 2 * time.Second

// revocationFile reads a file when it changed; see [Revocation.Data] for what it returns.
func revocationFile(name string) func(last any) (list, version any, err error) {
	return func(last any) (any, any, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() {
			return nil, nil, errors.New("not a regular file")
		}
		now := fileVersion{info.ModTime(), info.Size()}
		if last == any(now) {
			return nil, now, nil
		}
		text, err := io.ReadAll(io.LimitReader(f, maxRevocationBytes+1))
		if err == nil && len(text) > maxRevocationBytes {
			err = fmt.Errorf("more than %d bytes", maxRevocationBytes)
		}
		if err != nil {
			return nil, nil, err
		}
		document, err := decodeRevocations(text)
		if time.Since(now.modified) < unsettled {
			return document, nil, err
		}
		return document, now, err
	}
}

// decodeRevocations decodes YAML, or JSON, which begins with a brace.
func decodeRevocations(text []byte) (any, error) {
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		if object, err := decodeObject(text); err == nil {
			return object, nil
		} else if json.Valid(text) {
			return nil, err // a member twice, say, which YAML would only word differently
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, second any
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("not YAML: %w", err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	return document, nil
}
