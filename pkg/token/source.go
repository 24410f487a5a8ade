package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// Times between two reads of a set.
const (
	fileInterval  = time.Second
	minInterval   = time.Minute
	maxInterval   = time.Hour
	plainInterval = 10 * time.Minute // where the issuer says nothing
)

// inline is a set that stands in the configuration. It never changes, so it never grows stale.
type inline struct{ text string }

func (s inline) load(context.Context, *keySet) (answer, error) {
	return answer{text: []byte(s.text)}, nil
}

// file is a set in a file. It is read anew every time: the file is small, and a modification time
// does not change with every write.
type file struct{ name string }

func (s file) load(context.Context, *keySet) (answer, error) {
	f, err := os.Open(s.name)
	if err != nil {
		return answer{}, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return answer{}, errors.New("not a regular file")
	}
	text, err := readAll(f)
	return answer{text: text, location: s.name, next: fileInterval}, err
}

// remote is a set behind a URL, which the operator wrote or OpenID discovery finds.
type remote struct {
	issuer   *url.URL // for discovery; nil where uri is given
	text     string   // the issuer, as configured
	uri      *url.URL
	client   *client
	now      func() time.Time
	located  *url.URL // what discovery found last
	deadline time.Time
}

func (s *remote) load(ctx context.Context, before *keySet) (answer, error) {
	uri, conn := s.uri, s.client.trusted
	if uri == nil {
		if err := s.discover(ctx); err != nil {
			return answer{}, fmt.Errorf("discovery: %w", err)
		}
		uri, conn = s.located, s.client.wary
	}
	etag := ""
	if before != nil && before.location == uri.String() {
		etag = before.etag
	}
	response, err := s.client.get(ctx, conn, uri, etag)
	if err != nil {
		s.located = nil
		return answer{}, fmt.Errorf("JWK set: %w", err)
	}
	return answer{
		text:      response.body,
		unchanged: response.unchanged,
		location:  uri.String(),
		etag:      response.etag,
		next:      response.lifetime(),
	}, nil
}

// discover finds the set's address. It is sought anew after an hour and after any failure.
func (s *remote) discover(ctx context.Context) error {
	if s.located != nil && s.now().Before(s.deadline) {
		return nil
	}
	response, err := s.client.get(ctx, s.client.trusted, wellKnown(s.issuer), "")
	if errors.Is(err, errNotFound) {
		response, err = s.client.get(ctx, s.client.trusted, wellKnownInserted(s.issuer), "")
	}
	if err != nil {
		return err
	}
	document, err := decodeObject(response.body)
	if err != nil {
		return err
	}
	if document["issuer"] != s.text { // OpenID Connect Discovery, section 4.3; RFC 8414, section 3.3
		return errors.New("the document is another issuer's")
	}
	address, _ := document["jwks_uri"].(string)
	located, err := url.Parse(address)
	if err != nil || !sameOrigin(located, s.issuer) {
		return errors.New("jwks_uri is not at the issuer's own host; jwksUri in the configuration names it in spite of that")
	}
	s.located, s.deadline = located, s.now().Add(maxInterval)
	return nil
}

// wellKnown is the address of OpenID Connect Discovery, section 4.
func wellKnown(issuer *url.URL) *url.URL {
	u := *issuer
	u.Path, u.RawPath = strings.TrimSuffix(issuer.Path, "/")+"/.well-known/openid-configuration", ""
	return &u
}

// wellKnownInserted is the address of RFC 8414, section 3.1.
func wellKnownInserted(issuer *url.URL) *url.URL {
	u := *issuer
	u.Path, u.RawPath = path.Join("/.well-known/oauth-authorization-server", issuer.Path), ""
	return &u
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Host, b.Host) && a.User == nil
}

// A response is what a server said.
type response struct {
	body      []byte
	unchanged bool
	etag      string
	header    http.Header
}

// lifetime is how long the set may be kept by its Cache-Control (RFC 9111, section 5.2.2), within
// bounds: less would press the issuer, more would keep a withdrawn key.
func (r response) lifetime() time.Duration {
	for directive := range strings.SplitSeq(r.header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(strings.ToLower(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return minInterval
		case "max-age":
			seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
			if err != nil {
				return plainInterval
			}
			return min(max(time.Duration(seconds)*time.Second, minInterval), maxInterval)
		}
	}
	return plainInterval
}

// readAll reads a document that must stay below the limit.
func readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxSetBytes+1))
	if err == nil && len(text) > maxSetBytes {
		err = fmt.Errorf("more than %d bytes", maxSetBytes)
	}
	return text, err
}
