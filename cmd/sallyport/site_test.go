package main

import (
	"cmp"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// A site is where a fault happens: instances of Sallyport behind a real Envoy, two issuers, and a crowd
// that asks all the time.
type site struct {
	*mesh
	*crowd
	users, partners *tokentest.Issuer
	instances       []*instance
	before          int64 // requests that reached the upstream before this crowd
}

// A plan says what is special about a site.
type plan struct {
	instances int      // 0: 1
	config    string   // file in testdata; "": fault.yaml
	settings  []edit   // of that file
	edits     []edit   // of the bootstrap
	env       []string // of the instances
	rate      int      // requests a second; 0: 100

	probes  func(*site, *testing.T) []probe // nil: the usual ones
	prepare func(*site)                     // before the instances start; nil: nothing
	unready bool                            // do not wait until every answer is right
}

// onlyWhereAsked skips a test that takes long. Faults are many, and what is measured must not be raced.
func onlyWhereAsked(t *testing.T) {
	t.Helper()
	if os.Getenv("FAULTS") == "" && os.Getenv("SOAK") == "" {
		t.Skip("hack/test --faults runs it, and hack/soak")
	}
}

func startSite(t *testing.T, p plan) *site {
	t.Helper()
	onlyWhereAsked(t)
	s := &site{mesh: newMesh(t, false), users: newIssuer(t), partners: newIssuer(t)}
	s.sallyport = &sallyport{issuer: s.users, decisions: newOutput(), messages: newOutput()}
	settings := append(p.settings, edit{"https://issuer.example.com", s.users.URL}, edit{"https://partner.example.com", s.partners.URL})
	for range max(p.instances, 1) {
		i := newInstance(t, cmp.Or(p.config, "fault.yaml"), settings...)
		i.env = p.env
		s.instances = append(s.instances, i)
	}
	if p.prepare != nil {
		p.prepare(s)
	}
	// A busy machine may be slow to connect and to say that it is well, as patient has it of checks.
	edits := append([]edit{{"connect_timeout: 0.25s", "connect_timeout: 5s"}, {"    - timeout: 1s\n", "    - timeout: 10s\n"}}, p.edits...)
	for n, i := range s.instances {
		i.start(t)
		if n > 0 {
			edits = append(edits, beside(i.grpc))
		}
	}
	s.start(t, setup{authz: s.instances[0].grpc, edits: edits})
	probes := s.asked(t)
	if p.probes != nil {
		probes = p.probes(s, t)
	}
	t.Cleanup(func() { s.compare(t) })
	s.crowd = gather(t, s.mesh.url, cmp.Or(p.rate, 100), probes)
	if !p.unready {
		s.recovers(t, "the start", always(503), func() {})
	}
	return s
}

// compare holds that none but those who were let in reached the upstream. Of each member's last request
// nobody knows.
func (s *site) compare(t *testing.T) {
	if served, allowed := s.upstream.served.Load()-s.before, s.allowed.Load(); served < allowed || served > allowed+crowdSize {
		t.Errorf("%d requests reached the upstream, %d were let in", served, allowed)
	}
}

func newIssuer(t *testing.T) *tokentest.Issuer {
	t.Helper()
	issuer, err := tokentest.New(tokentest.Config{Algorithms: []string{"ES256"}, Seed: seed(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { issuer.Close() })
	return issuer
}

// A signer makes the tokens of a probe.
type signer func() (string, error)

// signs makes a new token every time.
func signs(issuer *tokentest.Issuer, changes map[string]any) signer {
	return func() (string, error) { return issuer.Token("orders", changes) }
}

// lasting makes a token that is used for a while, as clients do.
func (s signer) lasting() signer {
	const most = 5 * time.Second
	var mu sync.Mutex
	var made time.Time
	var token string
	return func() (_ string, err error) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(made) > most {
			token, err = s()
			made = time.Now()
		}
		return token, err
	}
}

// signedBy makes a token with a key that need not be the issuer's.
func signedBy(issuer *tokentest.Issuer, key *tokentest.Key, changes map[string]any) signer {
	return func() (string, error) { return key.Sign(nil, tokentest.Change(issuer.Claims("orders"), changes)) }
}

// asked are requests of every kind, each with its right answer.
func (s *site) asked(t *testing.T) []probe {
	t.Helper()
	clerk, reader := map[string]any{"roles": []string{"clerk"}}, map[string]any{"roles": []string{"reader"}}
	expired := map[string]any{"roles": []string{"clerk"}, "iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(-time.Hour).Unix()}
	forger, err := tokentest.NewKey("forger", "ES256", "")
	if err != nil {
		t.Fatal(err)
	}
	forged := func() (string, error) { // under the name of the issuer's key
		return forger.Sign(map[string]any{"kid": s.users.Key("ES256").ID}, tokentest.Change(s.users.Claims("orders"), clerk))
	}
	unknown, err := tokentest.NewKey("unknown", "ES256", "")
	if err != nil {
		t.Fatal(err)
	}
	return []probe{
		{name: "public", path: "/public/page", want: http.StatusOK},
		{name: "user", path: "/orders/7", token: signs(s.users, clerk).lasting(), want: http.StatusOK},
		{name: "user with a new token", path: "/orders/8", token: signs(s.users, clerk), want: http.StatusOK},
		{name: "partner", path: "/partners/7", header: "X-Partner-Token", token: signs(s.partners, nil).lasting(), want: http.StatusOK},
		{name: "no token", path: "/orders/7", want: http.StatusUnauthorized},
		{name: "user with an expired token", path: "/orders/7", token: signs(s.users, expired), want: http.StatusUnauthorized},
		{name: "user with a forged token", path: "/orders/7", token: forged, want: http.StatusUnauthorized},
		{name: "user with an unknown key", path: "/public/page", token: signedBy(s.users, unknown, clerk), want: http.StatusUnauthorized,
			also: http.StatusServiceUnavailable, // where the issuer does not answer within 200 ms
		},
		{name: "user without the role", path: "/orders/7", token: signs(s.users, reader).lasting(), want: http.StatusForbidden},
		{name: "user on no route", path: "/elsewhere", token: signs(s.users, clerk).lasting(), want: http.StatusForbidden},
	}
}

// during is that of the crowd; where it fails, Envoy's counts say more.
func (s *site) during(t *testing.T, what string, excuse func(probe, int) bool, happen func()) *spell {
	t.Helper()
	failed := t.Failed()
	out := s.crowd.during(t, what, excuse, happen)
	if t.Failed() && !failed {
		t.Logf("Envoy counted:\n%s", s.ask(t, "/stats?usedonly&filter=^cluster.sallyport"))
	}
	return out
}

// seed makes the keys of an issuer the same when it comes again.
func seed(t *testing.T) string { return t.Name() }
