package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sallyport/sallyport/pkg/server"
)

// A failure is what a server says of itself, and may change while it is asked.
type failure struct{ err atomic.Pointer[error] }

func (f *failure) set(err error) { f.err.Store(&err) }

func (f *failure) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// Health is what Ready says at the moment, to those who ask and to those who watch.
func TestHealth(t *testing.T) {
	var unready failure
	s, _ := start(t, server.Config{GRPC: loopback(), Services: []string{"a.Service"}, Ready: unready.get})
	health := healthpb.NewHealthClient(connect(t, s.GRPCAddr().String(), insecure.NewCredentials()))
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{Service: "a.Service"})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		err  error
		want healthpb.HealthCheckResponse_ServingStatus
	}{
		{nil, healthpb.HealthCheckResponse_SERVING},
		{errors.New("policy: no bundle yet"), healthpb.HealthCheckResponse_NOT_SERVING},
		{nil, healthpb.HealthCheckResponse_SERVING},
	} {
		unready.set(step.err)
		for _, service := range []string{"", "a.Service"} {
			if got := statusOf(t, health, service); got != step.want {
				t.Errorf("service %q: %v, want %v", service, got, step.want)
			}
		}
		await(t, watch, step.want)
	}
	if s.AdminAddr() != nil {
		t.Errorf("an admin listener at %v that nobody asked for", s.AdminAddr())
	}
}

// await reads what a watcher is told until it is this.
func await(t *testing.T, watch healthpb.Health_WatchClient, want healthpb.HealthCheckResponse_ServingStatus) {
	t.Helper()
	for {
		told, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if told.GetStatus() == want {
			return
		}
	}
}

func statusOf(t *testing.T, health healthpb.HealthClient, service string) healthpb.HealthCheckResponse_ServingStatus {
	t.Helper()
	response, err := health.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
	if err != nil {
		t.Fatalf("service %q: %v", service, err)
	}
	return response.GetStatus()
}

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestAdmin(t *testing.T) {
	var unready, trouble failure
	s, _ := start(t, server.Config{GRPC: loopback(), Admin: loopback(), Ready: unready.get, Trouble: trouble.get})
	url := "http://" + s.AdminAddr().String()
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := get(t, http.DefaultClient, url+path); code != 200 || body != "ok\n" {
			t.Errorf("%s answers %d %q", path, code, body)
		}
	}
	trouble.set(errors.Join(errors.New("the issuer is down"), errors.New("the new file is broken")))
	const want = "ok\ntrouble: the issuer is down\ntrouble: the new file is broken\n"
	if code, body := get(t, http.DefaultClient, url+"/readyz"); code != 200 || body != want {
		t.Errorf("/readyz answers %d %q", code, body)
	}
	unready.set(errors.New("policy: no bundle yet"))
	if code, body := get(t, http.DefaultClient, url+"/readyz"); code != 503 || !strings.Contains(body, "no bundle yet") {
		t.Errorf("/readyz answers %d %q", code, body)
	}
}

// While it drains the server says so, and answers on the connections that are there and on new ones.
func TestDrainDelay(t *testing.T) {
	entered, finish := make(chan struct{}), make(chan struct{})
	s, err := server.New(t.Context(), server.Config{
		GRPC: loopback(), Admin: loopback(), DrainDelay: time.Second, Register: slowService(entered, finish),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	conn := connect(t, s.GRPCAddr().String(), insecure.NewCredentials())
	health := healthpb.NewHealthClient(conn)
	if got := statusOf(t, health, ""); got != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("status %v before", got)
	}
	watch, err := health.Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	await(t, watch, healthpb.HealthCheckResponse_NOT_SERVING)
	if code, body := get(t, http.DefaultClient, "http://"+s.AdminAddr().String()+"/readyz"); code != 503 || !strings.Contains(body, "draining") {
		t.Errorf("/readyz answers %d %q", code, body)
	}
	for name, conn := range map[string]*grpc.ClientConn{
		"there": conn, "new": connect(t, s.GRPCAddr().String(), insecure.NewCredentials()),
	} {
		result := make(chan error, 1)
		go func() { result <- invokeSlow(conn) }()
		<-entered
		finish <- struct{}{}
		if err := <-result; err != nil {
			t.Errorf("on a connection that is %s: %v", name, err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
