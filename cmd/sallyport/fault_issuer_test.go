package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// An issuer goes away, hangs, or sends what is no key set. Whose tokens are signed with a key that is there
// notices nothing; of a key that is not there nobody knows whether it is the issuer's, so its token is
// denied with 503. The other issuer's users notice nothing.
func TestEnvoyFaultIssuer(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name    string
		instead http.HandlerFunc // nil: it is down
	}{
		{"issuer down", nil},
		{"issuer hangs", tokentest.Hanging},
		{"issuer sends a page", tokentest.Rubbish},
		{"issuer fails", tokentest.Failing},
		{"issuer sends a set without keys", tokentest.Empty},
		{"issuer sends 64 MiB", huge},
	} {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, plan{probes: (*site).known})
			i := s.instances[0]
			s.during(t, fault.name, nil, func() {
				if fault.instead != nil {
					s.users.Instead(fault.instead)
				} else {
					s.users.Close()
				}
				s.wish(t, http.StatusServiceUnavailable)
				until(t, "the fault is counted", func() bool { return i.metric(t, "sallyport_jwks_fetches_total", "failed", s.users.URL) > 0 })
				i.says(t, "/readyz", "its keys cannot be fetched")
			})
			took := s.recovers(t, fault.name+" ends", nil, func() {
				begin := time.Now()
				if fault.instead != nil {
					s.users.Instead(nil)
				} else {
					reopen(t, s.users)
				}
				until(t, "the keys are confirmed", func() bool {
					_, text := i.get(t, "/readyz")
					return strings.TrimSpace(text) == "ok"
				})
				t.Logf("the keys are confirmed %s after the end", time.Since(begin).Round(time.Millisecond))
				s.wish(t, http.StatusUnauthorized)
			})
			if took != 0 {
				t.Error("somebody was denied")
			}
		})
	}
}

// An instance starts while an issuer is down: its users are denied, with 503, and nobody else is.
func TestEnvoyFaultIssuerAtStart(t *testing.T) {
	t.Parallel()
	s := startSite(t, plan{unready: true, prepare: func(s *site) { s.users.Close() }})
	i, users := s.instances[0], excused("user", http.StatusServiceUnavailable)
	s.during(t, "start without an issuer", users, func() {
		i.says(t, "/readyz", "trouble: token: not ready: issuer")
		if n := i.metric(t, "sallyport_jwks_keys", s.users.URL); n != 0 {
			t.Errorf("%v keys", n)
		}
	})
	took := s.recovers(t, "the issuer comes", users, func() { reopen(t, s.users) })
	t.Logf("all answers right %s after it came", took.Round(time.Millisecond))
	s.during(t, "with the issuer", nil, func() {})
}

// reopen lets an issuer that was closed answer again, with the same keys.
func reopen(t *testing.T, issuer *tokentest.Issuer) {
	t.Helper()
	again, err := tokentest.New(tokentest.Config{Algorithms: []string{"ES256"}, Seed: seed(t), Addr: strings.TrimPrefix(issuer.URL, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
}

// known are the usual probes but for the user with an unknown key, for whom the issuer would be asked as
// often as it may be.
func (s *site) known(t *testing.T) []probe {
	return slices.DeleteFunc(s.asked(t), func(p probe) bool { return p.name == "user with an unknown key" })
}

// wish has a user come with a key that nobody knows yet, so that the issuer is asked.
func (s *site) wish(t *testing.T, want int) {
	t.Helper()
	key, err := tokentest.NewKey(fmt.Sprint("new-", want), "ES256", "")
	if err != nil {
		t.Fatal(err)
	}
	p := probe{path: "/public/page", token: signedBy(s.users, key, nil)}
	if status, err := p.send(t.Context(), http1(), s.mesh.url); err != nil || status != want {
		t.Errorf("a key that nobody knows: status %d, want %d; %v", status, want, err)
	}
}

// huge is a key set that does not end soon.
func huge(w http.ResponseWriter, _ *http.Request) {
	w.Write([]byte(`{"keys":["`))
	part := bytes.Repeat([]byte("x"), 1<<20)
	for range 64 {
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}
