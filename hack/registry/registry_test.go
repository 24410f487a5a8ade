package registry_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// opaConfig is OPA's configuration of one bundle in a registry, and more.
func opaConfig(s *store, service, source, more map[string]any) map[string]any {
	registry := map[string]any{"url": s.URL, "type": "oci"}
	maps.Copy(registry, service)
	bundle := map[string]any{
		"service": "registry", "resource": s.reference(), "polling": map[string]any{"min_delay_seconds": 1, "max_delay_seconds": 1},
	}
	maps.Copy(bundle, source)
	out := map[string]any{"services": map[string]any{"registry": registry}, "bundles": map[string]any{"authz": bundle}}
	maps.Copy(out, more)
	return out
}

func TestBundleOfARegistry(t *testing.T) {
	s := newStore(t, "")
	e, lines := start(t, opaConfig(s, nil, nil, nil))
	lines.await(t, "Bundle load failed") // there is none yet
	if e.Ready() == nil {
		t.Error("ready without a policy")
	}
	s.push(t, pack(t, "r1", ""))
	lines.await(t, "policy loaded revision=r1")
	allows(t, e, "r1")

	s.push(t, []byte("no bundle"))
	lines.await(t, "Bundle load failed")
	allows(t, e, "r1")
	s.down.Store(true)
	lines.await(t, "503 Service Unavailable")
	allows(t, e, "r1")
	s.down.Store(false)
	s.push(t, pack(t, "r2", ""))
	lines.await(t, "policy loaded revision=r2")
	allows(t, e, "r2")
}

func TestSignedBundleOfARegistry(t *testing.T) {
	s := newStore(t, "")
	keys := map[string]any{"keys": map[string]any{"k1": map[string]any{"algorithm": "HS256", "key": "the secret"}}}
	s.push(t, pack(t, "r1", "the secret"))
	e, lines := start(t, opaConfig(s, nil, map[string]any{"signing": map[string]any{"keyid": "k1"}}, keys))
	lines.await(t, "policy loaded revision=r1")
	for name, bundle := range map[string][]byte{"unsigned": pack(t, "bad", ""), "of another key": pack(t, "bad", "another")} {
		t.Run(name, func(t *testing.T) {
			s.push(t, bundle)
			lines.await(t, "Bundle load failed")
			allows(t, e, "r1")
		})
	}
	t.Run("unsigned, though nobody speaks of signing", func(t *testing.T) {
		s.push(t, pack(t, "bad", ""))
		e, lines := start(t, opaConfig(s, nil, nil, keys))
		lines.await(t, "Bundle load failed")
		if e.Ready() == nil {
			t.Error("ready with an unsigned bundle")
		}
	})
}

// OPA sends a registry its token in base64.
func TestCredentialOfARegistry(t *testing.T) {
	s := newStore(t, "Bearer "+base64.StdEncoding.EncodeToString([]byte("the token")))
	s.push(t, pack(t, "r1", ""))
	credential := func(token string) map[string]any {
		return map[string]any{"credentials": map[string]any{"bearer": map[string]any{"token": token}}}
	}
	_, lines := start(t, opaConfig(s, credential("another"), nil, nil))
	lines.await(t, "401 Unauthorized")
	t.Setenv("REGISTRY_TOKEN", "the token")
	e, lines := start(t, opaConfig(s, credential("${REGISTRY_TOKEN}"), nil, nil))
	lines.await(t, "policy loaded revision=r1")
	allows(t, e, "r1")
}

func TestPersistedBundleOfARegistry(t *testing.T) {
	s := newStore(t, "")
	s.push(t, pack(t, "r1", ""))
	config := opaConfig(s, nil, map[string]any{"persist": true}, map[string]any{"persistence_directory": t.TempDir()})
	first, lines := start(t, config)
	lines.await(t, "Bundle persisted to disk")
	lines.await(t, "policy loaded revision=r1")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	s.down.Store(true)
	second, lines := start(t, config)
	lines.await(t, "policy loaded revision=r1")
	allows(t, second, "r1")
}

func allows(t *testing.T, e *policy.Engine, revision string) {
	t.Helper()
	d, err := e.Decide(t.Context(), &authz.Request{HTTP: &authz.HTTP{Method: "GET"}}, authz.Identity{})
	if err != nil || !d.Allowed || d.Revision != revision {
		t.Errorf("decision %+v, error %v, want an allow of %s", d, err, revision)
	}
}

func start(t *testing.T, opa map[string]any) (*policy.Engine, lines) {
	t.Helper()
	l := lines{all: make(chan string, 10_000)}
	e, err := policy.New(t.Context(), policy.Config{OPA: opa, Logger: slog.New(l)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, l
}

// lines are what the engine logs.
type lines struct {
	all   chan string
	attrs string
}

func (l lines) Enabled(context.Context, slog.Level) bool { return true }
func (l lines) WithGroup(string) slog.Handler            { return l }

func (l lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	l.attrs += fmt.Sprint(attrs)
	return l
}

func (l lines) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool { line += fmt.Sprintf(" %v", a); return true })
	l.all <- line + l.attrs
	return nil
}

// await takes lines until there is one with the text.
func (l lines) await(t *testing.T, text string) {
	t.Helper()
	patience := time.NewTimer(20 * time.Second)
	defer patience.Stop()
	var seen []string
	for {
		select {
		case line := <-l.all:
			if strings.Contains(line, text) {
				return
			}
			seen = append(seen, line)
		case <-patience.C:
			t.Fatalf("no line with %q; there are:\n%s", text, strings.Join(seen, "\n"))
		}
	}
}
