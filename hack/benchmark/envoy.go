package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

// What Envoy is started with; filters take the place of "# FILTERS".
var (
	//go:embed envoy/bootstrap.yaml
	bootstrap string
	//go:embed envoy/ext_authz.yaml
	extAuthz string
	//go:embed envoy/jwt_rbac.yaml
	jwtRBAC string
)

// Ports of the bootstrap; each Envoy gets free ones instead.
const (
	envoyPort      = 10000
	envoyAdminPort = 9901
	authzPort      = 9191
)

// An envoyResult is the latency of requests through an Envoy.
type envoyResult struct {
	Name               string
	Rate               int // requests a second
	P50, P90, P99, Max time.Duration
}

// measureEnvoy sends the same requests through an Envoy that asks nobody, one that asks the empty
// server, one that asks Sallyport, and one that decides by its own jwt_authn and RBAC, at half of what
// this machine can do with Sallyport.
func measureEnvoy(ctx context.Context, w *world, o options) (out []envoyResult, err error) {
	servers, err := contenders(w, o.sallyport, "")
	if err != nil {
		return nil, err
	}
	filters := map[string]string{"no check": "", "jwt_authn + RBAC": fmt.Sprintf(jwtRBAC, issuerURL, audience, strings.ReplaceAll(w.jwks(), "'", "''"))}
	order := []string{"no check", "jwt_authn + RBAC"}
	ports := map[string]int{}
	for _, c := range slices.DeleteFunc(servers, func(c *contender) bool { return c.name == "usual" }) {
		if err := c.start(ctx, w); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		_, port, _ := strings.Cut(c.address, ":")
		if ports[c.name], err = strconv.Atoi(port); err != nil {
			return nil, err
		}
		filters[c.name] = extAuthz
		order = append(order, c.name)
	}
	clients := map[string]*client{}
	for _, name := range order {
		if clients[name], err = throughEnvoy(ctx, w, o.envoy, filters[name], ports[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		defer func() { err = errors.Join(err, clients[name].process.Stop()) }()
	}
	capacity, err := clients["sallyport"].capacity(ctx)
	if err != nil {
		return nil, err
	}
	return turnsThroughEnvoy(ctx, clients, order, capacity/2, o.turns)
}

// turnsThroughEnvoy gives each the median of its turns.
func turnsThroughEnvoy(ctx context.Context, clients map[string]*client, order []string, rate, turns int) ([]envoyResult, error) {
	all := map[string][]envoyResult{}
	for range turns {
		for _, name := range order {
			sorted, err := clients[name].openLoop(ctx, rate, 2*time.Second)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all[name] = append(all[name], envoyResult{Name: name, Rate: rate,
				P50: percentile(sorted, 50), P90: percentile(sorted, 90), P99: percentile(sorted, 99), Max: sorted[len(sorted)-1]})
		}
	}
	var out []envoyResult
	for _, name := range order {
		slices.SortFunc(all[name], func(a, b envoyResult) int { return int(a.P99 - b.P99) })
		out = append(out, all[name][turns/2])
	}
	return out, nil
}

// A client sends the requests of the jwt mix to one Envoy.
type client struct {
	process *envoytest.Process
	http    *http.Client
	url     string
	tokens  []string
}

func throughEnvoy(ctx context.Context, w *world, binary, filters string, authz int) (*client, error) {
	ports := map[int]int{authzPort: authz}
	for _, port := range []int{envoyPort, envoyAdminPort} {
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		_, free, _ := net.SplitHostPort(address)
		if ports[port], err = strconv.Atoi(free); err != nil {
			return nil, err
		}
	}
	if authz == 0 {
		ports[authzPort] = authzPort
	}
	process, err := envoytest.Start(ctx, envoytest.Options{
		Binary: binary, Config: strings.ReplaceAll(bootstrap, "# FILTERS", strings.TrimSpace(filters)), Ports: ports, Admin: envoyAdminPort, Log: io.Discard,
	})
	if err != nil {
		return nil, err
	}
	return &client{process: process, tokens: w.users, url: fmt.Sprintf("http://127.0.0.1:%d/orders/", ports[envoyPort]),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}, nil
}

func (c *client) get(ctx context.Context, n int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+strconv.Itoa(n%20), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.tokens[n%len(c.tokens)])
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s", response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

// capacity is what the whole machine does a second, all busy.
func (c *client) capacity(ctx context.Context) (int, error) {
	var done atomic.Int64
	const seconds = 3
	end := time.Now().Add(seconds * time.Second)
	errs := make([]error, 16)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() {
			for n := i; time.Now().Before(end) && errs[i] == nil; n += len(errs) {
				errs[i] = c.get(ctx, n)
				done.Add(1)
			}
		})
	}
	wait.Wait()
	return int(done.Load()) / seconds, errors.Join(errs...)
}

func (c *client) openLoop(ctx context.Context, rate int, d time.Duration) ([]time.Duration, error) {
	return pace(rate, d, func(n int) error { return c.get(ctx, n) })
}

func printEnvoy(out io.Writer, all []envoyResult) {
	fmt.Fprintf(out, "\nthrough Envoy: the jwt mix, latency of a request at half of capacity\n")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "what decides\trequests/s\tp50\tp90\tp99\t")
	for _, r := range all {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t\n", r.Name, r.Rate, short(r.P50), short(r.P90), short(r.P99))
	}
	table.Flush()
}
