package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A step is one request of the tour, and the answer to expect.
type step struct {
	what    string // who asks, and what is special about it
	method  string
	path    string
	headers http.Header
	body    string

	wantStatus int
	wantReason authz.Reason
	wantUser   string // x-user upstream; "" for none
}

// A visit is a step and what came of it.
type visit struct {
	step
	status      int
	upstream    *echo // nil where nothing reached it
	observation observation
}

// tokens are those of the tour, signed when it starts.
type tokens struct {
	alice, admin, expired, elsewhere, tampered, unsigned, workload string
}

func (w *world) tokens() (t tokens, err error) {
	sign := func(to *string, audience string, changes map[string]any) {
		if err == nil {
			*to, err = w.users.Token(audience, changes)
		}
	}
	alice := map[string]any{"scope": "orders:read orders:write", "roles": []string{"clerk"}}
	sign(&t.alice, "orders", alice)
	sign(&t.admin, "orders", map[string]any{"sub": "bob", "roles": []string{"admin"}})
	now := time.Now()
	sign(&t.expired, "orders", map[string]any{"iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(-time.Hour).Unix()})
	sign(&t.elsewhere, "invoices", alice)
	if err != nil {
		return t, err
	}
	if t.workload, err = w.workloads.Token("mesh", map[string]any{"sub": "checkout"}); err != nil {
		return t, err
	}
	// alice's header and signature around the claims of an admin.
	mine, others := strings.Split(t.alice, "."), strings.Split(t.admin, ".")
	t.tampered = strings.Join([]string{mine[0], others[1], mine[2]}, ".")
	t.unsigned, err = w.users.Key("RS256").Sign(map[string]any{"alg": "none"}, w.users.Claims("orders"))
	return t, err
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func with(headers http.Header, name, value string) http.Header {
	headers.Set(name, value)
	return headers
}

// tour lists the requests that show what Sallyport is for.
func tour(w *world) ([]step, error) {
	t, err := w.tokens()
	if err != nil {
		return nil, err
	}
	denied, allowed := authz.PolicyDenied, authz.Allowed
	order := func(amount string) string { return `{"amount": ` + amount + `}` }
	json := func(token string) http.Header { return with(bearer(token), "Content-Type", "application/json") }
	return []step{
		{"nobody", "GET", "/public/news", nil, "", 200, allowed, ""},
		{"no token", "GET", "/orders", nil, "", 401, denied, ""},
		{"alice", "GET", "/orders", bearer(t.alice), "", 200, allowed, "alice"},
		{"alice, whose role does not suffice", "GET", "/admin/users", bearer(t.alice), "", 403, denied, ""},
		{"bob, who is an admin", "GET", "/admin/users", bearer(t.admin), "", 200, allowed, "bob"},
		{"alice, at her own record", "GET", "/users/alice/profile", bearer(t.alice), "", 200, allowed, "alice"},
		{"alice, at bob's record", "GET", "/users/bob/profile", bearer(t.alice), "", 403, denied, ""},
		{"an expired token", "GET", "/orders", bearer(t.expired), "", 401, authz.TokenExpired, ""},
		{"a token for another audience", "GET", "/orders", bearer(t.elsewhere), "", 401, authz.TokenAudience, ""},
		{"a tampered token", "GET", "/admin/users", bearer(t.tampered), "", 401, authz.TokenSignature, ""},
		{"alg: none", "GET", "/orders", bearer(t.unsigned), "", 401, authz.TokenUnsupported, ""},
		{"alice, forging x-user", "GET", "/orders", with(bearer(t.alice), "X-User", "root"), "", 200, allowed, "alice"},
		{"nobody, forging x-user", "GET", "/public/news", http.Header{"X-User": {"root"}}, "", 200, allowed, ""},
		{"two Authorization headers", "GET", "/orders", http.Header{"Authorization": {"Bearer " + t.alice, "Bearer " + t.admin}}, "", 400, authz.TokenMultiple, ""},
		{"a path with two readings", "GET", "/public/..%2forders", nil, "", 400, authz.PathAmbiguous, ""},
		{"alice, without a workload's token", "POST", "/payments/42", bearer(t.alice), "", 403, denied, ""},
		{"alice, through the checkout service", "POST", "/payments/42", with(bearer(t.alice), "X-Workload-Token", t.workload), "", 200, allowed, "alice"},
		{"alice orders for 250", "POST", "/orders", json(t.alice), order("250"), 200, allowed, "alice"},
		{"alice orders for 5000", "POST", "/orders", json(t.alice), order("5000"), 403, denied, ""},
	}, nil
}

// playTour makes every request and shows the answers. It fails if one is not the expected one.
func (w *world) playTour(ctx context.Context, out io.Writer) error {
	steps, err := tour(w)
	if err != nil {
		return err
	}
	visits, wrong := make([]visit, 0, len(steps)), 0
	for _, s := range steps {
		v, err := w.visit(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %s %s: %w", s.what, s.method, s.path, err)
		}
		if v.mistake() != "" {
			wrong++
		}
		visits = append(visits, v)
	}
	printTour(out, visits)
	if wrong > 0 {
		return fmt.Errorf("%d of %d answers were not the expected ones", wrong, len(steps))
	}
	fmt.Fprintf(out, "\nAll %d answers were the expected ones.\n", len(steps))
	return nil
}

func (w *world) visit(ctx context.Context, s step) (visit, error) {
	v := visit{step: s}
	req, err := http.NewRequestWithContext(ctx, s.method, w.url+s.path, strings.NewReader(s.body))
	if err != nil {
		return v, err
	}
	if s.headers != nil {
		req.Header = s.headers.Clone()
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return v, err
	}
	v.status = resp.StatusCode
	if v.status == http.StatusOK {
		v.upstream = new(echo)
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(v.upstream); err != nil {
			return v, fmt.Errorf("the upstream's echo: %w", err)
		}
	}
	select {
	case v.observation = <-w.decisions:
		return v, nil
	case <-ctx.Done():
		return v, ctx.Err()
	case <-time.After(5 * time.Second):
		return v, errors.New("nobody asked Sallyport")
	}
}

// mistake says how the answer differs from the expected one, "" where it does not.
func (v visit) mistake() string {
	reason := v.observation.record.Decision.Reason
	switch {
	case v.status != v.wantStatus:
		return fmt.Sprintf("expected %d", v.wantStatus)
	case reason != v.wantReason:
		return fmt.Sprintf("expected %s", v.wantReason)
	case v.upstream == nil:
		return ""
	case v.upstream.Headers.Get("X-User") != v.wantUser:
		return fmt.Sprintf("expected x-user %q upstream", v.wantUser)
	case v.upstream.Headers.Get("Authorization")+v.upstream.Headers.Get("X-Workload-Token") != "":
		return "a token reached the upstream"
	}
	return ""
}
