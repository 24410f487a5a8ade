package token

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// A client fetches documents from issuers. trusted goes where the operator pointed; wary goes
// where a document or a redirect pointed, and dials no address that only the host itself should.
type client struct {
	trusted, wary *http.Client
}

// maxRedirects is enough for a moved document.
const maxRedirects = 3

var (
	errNotFound = errors.New("status 404")
	errGuarded  = errors.New("the address is link-local, and the operator did not write it")
)

func newClient(cfg Config) *client {
	if cfg.HTTPClient != nil {
		return &client{trusted: unfollowing(*cfg.HTTPClient), wary: unfollowing(*cfg.HTTPClient)}
	}
	return &client{
		trusted: unfollowing(http.Client{Transport: transport(cfg.RootCAs, nil)}),
		wary:    unfollowing(http.Client{Transport: transport(cfg.RootCAs, guard)}),
	}
}

// unfollowing leaves redirects to us.
func unfollowing(c http.Client) *http.Client {
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

func transport(roots *x509.CertPool, control func(network, address string, _ syscall.RawConn) error) *http.Transport {
	// The timeout of an attempt comes before these, which bound what outlives it.
	dialer := &net.Dialer{Timeout: maxTimeout, Control: control}
	return &http.Transport{
		Proxy:                  nil, // a variable of the environment must not decide whose keys are believed
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    maxTimeout,
		ResponseHeaderTimeout:  maxTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        30 * time.Second,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // so that the limit on bytes read is a limit on memory
	}
}

// metadata are services that give credentials to any process of the host and are not link-local:
// Amazon's over IPv6, Alibaba's, Azure's.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"),
}

// guard looks at an address after the name was resolved, so that no name leads around it.
func guard(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return errGuarded
	}
	ip := target.Addr().Unmap().WithZone("")
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || slices.Contains(metadata, ip) {
		return errGuarded
	}
	return nil
}

// get fetches a document. It follows redirects within the origin alone, warily.
func (c *client) get(ctx context.Context, conn *http.Client, u *url.URL, etag string) (response, error) {
	for range maxRedirects + 1 {
		got, next, err := c.once(ctx, conn, u, etag)
		if err != nil || next == nil {
			return got, err
		}
		if !sameOrigin(next, u) {
			return response{}, errors.New("a redirect to another origin")
		}
		u, conn = next, c.wary
	}
	return response{}, fmt.Errorf("more than %d redirects", maxRedirects)
}

func (c *client) once(ctx context.Context, conn *http.Client, u *url.URL, etag string) (got response, next *url.URL, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return response{}, nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	if etag != "" {
		request.Header.Set("If-None-Match", etag)
	}
	answer, err := conn.Do(request)
	if err != nil {
		return response{}, nil, err
	}
	defer answer.Body.Close()
	body, err := readAll(answer.Body)
	if err != nil {
		return response{}, nil, err
	}
	got = response{body: body, etag: answer.Header.Get("ETag"), header: answer.Header}
	switch answer.StatusCode {
	case http.StatusOK:
		return got, nil, nil
	case http.StatusNotModified:
		got.unchanged = true
		return got, nil, nil
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		next, err = answer.Location()
		return got, next, err
	case http.StatusNotFound:
		return got, nil, errNotFound
	}
	return got, nil, fmt.Errorf("status %d", answer.StatusCode)
}

func (c *client) close() {
	c.trusted.CloseIdleConnections()
	c.wary.CloseIdleConnections()
}
