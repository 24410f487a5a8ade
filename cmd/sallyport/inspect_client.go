package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/inspect"
)

// defaultAdmin is listen.admin's.
const defaultAdmin = "127.0.0.1:9192"

// adminFlags are how a command reaches the admin listener.
type adminFlags struct{ address, ca, cert, key string }

func addAdminFlags(cmd *cobra.Command, to *adminFlags) {
	f := cmd.Flags()
	f.StringVar(&to.address, "admin", defaultAdmin, "the `ADDR` of the admin listener, host:port or unix:///path (listen.admin)")
	f.StringVar(&to.ca, "admin-ca", "", "speak TLS, and verify the admin listener's certificate by the CA in `FILE` (listen.adminTLS)")
	f.StringVar(&to.cert, "admin-cert", "", "the `FILE` with the certificate to show to it; needs --admin-ca and --admin-key")
	f.StringVar(&to.key, "admin-key", "", "the `FILE` with the certificate's key")
}

// dialAdmin connects when the first call is made.
func dialAdmin(to adminFlags) (*grpc.ClientConn, error) {
	with, err := to.credentials()
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient(to.address, grpc.WithTransportCredentials(with))
	if err != nil {
		return nil, usageError{errors.New("--admin: must be host:port or unix:///path")}
	}
	return conn, nil
}

func (f adminFlags) credentials() (credentials.TransportCredentials, error) {
	if f.ca == "" && f.cert == "" && f.key == "" {
		return insecure.NewCredentials(), nil
	}
	if f.ca == "" || (f.cert == "") != (f.key == "") {
		return nil, usageError{errors.New("--admin-cert and --admin-key go together, and need --admin-ca")}
	}
	text, err := os.ReadFile(f.ca)
	if err != nil {
		return nil, fmt.Errorf("--admin-ca: %w", err)
	}
	with := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !with.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--admin-ca: %s has no certificate in PEM", f.ca)
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, fmt.Errorf("--admin-cert: %w", err)
		}
		with.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(with), nil
}

// call asks the inspection service one question.
func call[In, Out any](ctx context.Context, conn *grpc.ClientConn, method string, in *In) (*Out, error) {
	return callOn[In, Out](ctx, conn, inspect.ServiceName+"/"+method, in)
}

// callOn asks a service of the admin listener one question.
func callOn[In, Out any](ctx context.Context, conn *grpc.ClientConn, method string, in *In) (*Out, error) {
	out := new(Out)
	if err := conn.Invoke(ctx, "/"+method, in, out); err != nil {
		return nil, adminError(conn.Target(), err)
	}
	return out, nil
}

// adminError says what can be done.
func adminError(address string, err error) error {
	s := status.Convert(err)
	switch s.Code() {
	case codes.Unavailable, codes.Unimplemented:
		return fmt.Errorf("no Sallyport answers at %s: give its listen.admin with --admin (%s)", address, s.Message())
	}
	return errors.New(s.Message())
}

// onTerminal tells whether somebody looks on: https://no-color.org says how they can ask for no colour.
func onTerminal(out io.Writer) (terminal, colour bool) {
	file, ok := out.(*os.File)
	terminal = ok && term.IsTerminal(int(file.Fd()))
	return terminal, terminal && os.Getenv("NO_COLOR") == ""
}
