package config_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

func TestDiff(t *testing.T) {
	const rules = "jwt: {rules: [{name: a, issuer: 'https://a', audiences: [x]}, {name: b, issuer: 'https://b', audiences: [x], fromCookies: [b]}]}\n"
	for name, tc := range map[string]struct {
		old, next string
		want      []string
	}{
		"nothing":                 {rules, rules, nil},
		"a default, written out":  {"", "limits: {checks: 4096}\n", nil},
		"what can be taken over":  {"", "limits: {checks: 10}\n", []string{"limits.checks: 4096 -> 10"}},
		"what needs a restart":    {"", "limits: {streams: 10}\n", []string{"limits.streams: 1024 -> 10 (needs a restart)"}},
		"all below a listener":    {"", "listen: {grpc: 'localhost:1', drain: {delay: 1s}}\n", []string{"listen.grpc: 127.0.0.1:9191 -> localhost:1 (needs a restart)", "listen.drain.delay: 6s -> 1s (needs a restart)"}},
		"a section that is new":   {"", "listen: {tls: {certFile: testdata/file, keyFile: testdata/file}}\n", []string{"listen.tls: set to a section (needs a restart)"}},
		"a setting taken away":    {"jwt: {realm: x}\n", "", []string{"jwt.realm: taken away, was x"}},
		"a list":                  {"", "policy: {outputHeaders: [x-a, x-b]}\n", []string{"policy.outputHeaders: set to [x-a x-b]"}},
		"a rule, found by name":   {rules, "jwt: {rules: [{name: b, issuer: 'https://b', audiences: [y], fromCookies: [b]}, {name: c, issuer: 'https://c', audiences: [x], fromCookies: [c]}]}\n", []string{"jwt.rules[a]: taken away, was a rule", "jwt.rules[b].audiences: [x] -> [y]", "jwt.rules[c]: set to a rule"}},
		"credentials stay unseen": {"policy: {opa: {services: {r: {url: 'http://localhost', credentials: {bearer: {token: hidden}}}}}}\n", "policy: {opa: {services: {r: {url: 'http://localhost', credentials: {bearer: {token: secret}}}}}}\n", []string{"policy.opa.services.r.credentials.bearer.token: changed"}},
		"data":                    {"policy: {data: {a: {b: 1, c: 2}, d: 1}}\n", "policy: {data: {a: {b: 1, c: 3}, e: 1}}\n", []string{"policy.data.a.c: changed", "policy.data.d: changed", "policy.data.e: changed"}},
		"entrypoints":             {"", "policy: {entrypoints: [{network: true, path: a/b}]}\n", []string{"policy.entrypoints: changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, change := range parse(t, tc.old).Diff(parse(t, tc.next)) {
				got = append(got, change.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}
