package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sallyport/sallyport/pkg/inspect"
)

// defaultAdmin is listen.admin's.
const defaultAdmin = "127.0.0.1:9192"

func addAdminFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "admin", defaultAdmin, "the `ADDR` of the admin listener, host:port or unix:///path (listen.admin)")
}

// dialAdmin connects when the first call is made.
func dialAdmin(address string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, usageError{errors.New("--admin: must be host:port or unix:///path")}
	}
	return conn, nil
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
