package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Envoy's network filter asks about a connection: there is no HTTP request, only a principal.
func TestEnvoyNetwork(t *testing.T) {
	ca := newAuthority(t)
	m := startMesh(t, setup{config: "network.yaml", network: true, files: ca.files(t), upstream: greeter(t)})
	for _, tc := range []struct {
		name      string
		principal string
		want      string // "": refused
	}{
		{name: "a principal that is listed", principal: "spiffe://example.org/ns/shop/sa/frontend", want: "hello\n"},
		{name: "a principal that a pattern covers", principal: "spiffe://example.org/ns/db/sa/any/of/them", want: "hello\n"},
		{name: "another principal", principal: "spiffe://example.org/ns/shop/sa/intern"},
		{name: "another trust domain", principal: "spiffe://example.com/ns/shop/sa/frontend"},
		{name: "a principal of another port", principal: "spiffe://example.org/ns/other/sa/port"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := m.greet(t, &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{ca.sign(t, tc.principal)}})
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("got %q, error %v, want %q", got, err, tc.want)
			}
			if tc.want == "" && !strings.Contains(err.Error(), "access denied") {
				t.Errorf("error %v, want TLS's alert access_denied", err)
			}
			entry := await(t, m.decisions, func(d decisionEntry) bool { return d.Source.Principal == tc.principal })
			if entry.Allowed != (tc.want != "") {
				t.Errorf("Sallyport wrote %+v", entry)
			}
			await(t, m.access, func(a accessEntry) bool { return a.DecisionID == entry.ID })
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		if got, err := m.greet(t, &tls.Config{RootCAs: ca.pool}); err == nil {
			t.Errorf("got %q", got)
		}
	})
	t.Run("Sallyport stopped", func(t *testing.T) {
		m.stop()
		listed := ca.sign(t, "spiffe://example.org/ns/shop/sa/frontend")
		if got, err := m.greet(t, &tls.Config{RootCAs: ca.pool, Certificates: []tls.Certificate{listed}}); err == nil {
			t.Errorf("got %q", got)
		}
	})
}

// greet says a line to Envoy's listener and reads one.
func (m *mesh) greet(t *testing.T, config *tls.Config) (string, error) {
	t.Helper()
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: config}
	conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(m.url, "http://"))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("Envoy neither answers nor closes the connection")
	}
	return line, err
}

// greeter is an upstream that repeats a line.
func greeter(t *testing.T) net.Addr {
	t.Helper()
	listener := listen(t)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				line, _ := bufio.NewReader(conn).ReadString('\n')
				io.WriteString(conn, line)
			}()
		}
	}()
	return listener.Addr()
}
