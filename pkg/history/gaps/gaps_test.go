package gaps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/gaps"
)

func epoch() time.Time { return time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC) }

// allowed is a record without any gap: a user through a workload, with short-lived tokens, on mutual TLS.
func allowed(id string, change ...func(*history.Record)) *history.Record {
	r := &history.Record{
		ID: id, Time: epoch(), Allowed: true, Reason: authz.Allowed, Entrypoint: "data.envoy.authz.allow", Revision: "r1",
		Rule: "routes[0]", Route: "/orders/**", Method: "GET", Path: "/orders/7",
		Source: history.Peer{Address: "10.1.2.3", Principal: "spiffe://example.org/web"},
		Tokens: map[string]history.Token{"users": token("alice"), "workload": token("checkout")},
	}
	for _, change := range change {
		change(r)
	}
	return r
}

func token(subject string) history.Token {
	return history.Token{
		Status: authz.TokenValid, Issuer: "https://login.example.com", Subject: subject, Algorithm: "ES256",
		Claims: map[string]any{"iat": json.Number("1000"), "exp": json.Number("4600"), "aud": []any{"orders"}},
	}
}

func withoutTokens(r *history.Record) {
	r.Tokens = map[string]history.Token{"users": {Status: authz.TokenMissing}, "workload": {Status: authz.TokenMissing}}
}

func withoutWorkload(r *history.Record) {
	r.Tokens = map[string]history.Token{"users": r.Tokens["users"], "workload": {Status: authz.TokenMissing}}
}

func withoutCertificate(r *history.Record) { r.Source.Principal = "" }

func denied(r *history.Record) { r.Allowed, r.Reason = false, authz.PolicyDenied }

// changed is the user's token with another claim.
func changed(claim string, value any) func(*history.Record) {
	return func(r *history.Record) { r.Tokens["users"].Claims[claim] = value }
}

func signed(algorithm string) func(*history.Record) {
	return func(r *history.Record) {
		user := r.Tokens["users"]
		user.Algorithm = algorithm
		r.Tokens["users"] = user
	}
}

func named(rule, route string) func(*history.Record) {
	return func(r *history.Record) { r.Rule, r.Route = rule, route }
}

// find has every gap as "kind subject (decisions)".
func find(t *testing.T, config gaps.Config, records ...*history.Record) (*gaps.Report, []string) {
	t.Helper()
	finder := gaps.New(config)
	for _, r := range records {
		finder.Add(r)
	}
	report, err := finder.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, gap := range report.Gaps {
		found = append(found, fmt.Sprintf("%s %s (%d)", gap.Kind, gap.Subject, gap.Decisions))
		if gap.What == "" || gap.Mend == "" || gap.Risk < 1 || gap.Risk > 5 {
			t.Errorf("%+v does not say what it is", gap)
		}
	}
	slices.Sort(found)
	return report, found
}

// TestPlanted plants each gap that records show by themselves, beside what is nearly one.
func TestPlanted(t *testing.T) {
	day := changed("exp", json.Number("87400"))
	for name, tt := range map[string]struct {
		records []*history.Record
		want    []string
	}{
		"nothing":       {[]*history.Record{allowed("1")}, nil},
		"no token":      {[]*history.Record{allowed("1", withoutTokens, withoutCertificate)}, []string{"no_mtls 10.1.2.3 (1)", "no_token GET /orders/** (1)"}},
		"denied anyway": {[]*history.Record{allowed("1", withoutTokens, withoutCertificate, denied)}, nil},
		"a certificate alone": {
			[]*history.Record{allowed("1", withoutTokens), allowed("2", withoutTokens)}, []string{"no_token GET /orders/** (2)"},
		},
		"a user alone": {
			[]*history.Record{allowed("1", withoutWorkload, withoutCertificate)}, []string{"no_mtls 10.1.2.3 (1)", "no_workload GET /orders/** (1)"},
		},
		"a user, and a certificate":      {[]*history.Record{allowed("1", withoutWorkload)}, nil},
		"a workload's token, no user's":  {[]*history.Record{allowed("1", func(r *history.Record) { delete(r.Tokens, "users") })}, nil},
		"a client's token is a workload": {[]*history.Record{allowed("1", withoutWorkload, withoutCertificate, changed("client_id", "alice"))}, []string{"no_mtls 10.1.2.3 (1)"}},
		"a connection without TLS":       {[]*history.Record{{ID: "1", Time: epoch(), Allowed: true, Rule: "network[0]", Entrypoint: "e", Source: history.Peer{Address: "10.1.2.3"}}}, []string{"no_mtls 10.1.2.3 (1)"}},
		"denied by default":              {[]*history.Record{allowed("1"), allowed("2", denied, named("", ""))}, []string{"default_decision GET /orders/{} (1)"}},
		"allowed by default":             {[]*history.Record{allowed("1"), allowed("2", named("", ""))}, []string{"default_decision GET /orders/{} (1)"}},
		"a policy that names no rule":    {[]*history.Record{allowed("1", denied, named("", ""))}, nil},
		"undefined, which needs no name": {
			[]*history.Record{allowed("1", denied, named("", ""), func(r *history.Record) { r.Reason = authz.PolicyUndefined })}, []string{"default_decision GET /orders/{} (1)"},
		},
		"refused before the policy": {
			[]*history.Record{allowed("1"), allowed("2", named("", ""), func(r *history.Record) { r.Allowed, r.Reason, r.Entrypoint = false, authz.TokenExpired, "" })}, nil,
		},
		"an hour is not long":         {[]*history.Record{allowed("1", changed("exp", json.Number("4600")))}, nil},
		"a second more is":            {[]*history.Record{allowed("1", changed("exp", json.Number("4601")))}, []string{"long_lived_token users of https://login.example.com (1)"}},
		"long, though denied":         {[]*history.Record{allowed("1", day, denied)}, []string{"long_lived_token users of https://login.example.com (1)"}},
		"no iat, no lifetime":         {[]*history.Record{allowed("1", day, changed("iat", nil))}, nil},
		"HMAC":                        {[]*history.Record{allowed("1", signed("HS256"))}, []string{"weak_algorithm users of https://login.example.com (1)"}},
		"PKCS #1 v1.5":                {[]*history.Record{allowed("1", signed("RS256"))}, []string{"weak_algorithm users of https://login.example.com (1)"}},
		"PSS":                         {[]*history.Record{allowed("1", signed("PS256"))}, nil},
		"two audiences":               {[]*history.Record{allowed("1", changed("aud", []any{"a", "b"}))}, []string{"wide_audience users of https://login.example.com (1)"}},
		"one audience without a list": {[]*history.Record{allowed("1", changed("aud", "a"))}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, found := find(t, gaps.Config{Workloads: []string{"workload"}}, tt.records...)
			if diff := cmp.Diff(append([]string{}, tt.want...), found); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRank(t *testing.T) {
	var records []*history.Record
	for i := range 100 {
		records = append(records, allowed(fmt.Sprintf("b%03d", i), withoutWorkload, withoutCertificate))
	}
	late := allowed("a", withoutTokens, withoutCertificate)
	late.Time = epoch().Add(time.Second)
	report, _ := find(t, gaps.Config{}, append(records, late)...)
	var got []string
	for _, gap := range report.Gaps {
		got = append(got, fmt.Sprintf("%.1f %s %.3f %s", gap.Score, gap.Kind, gap.Share, gap.Sample))
	}
	want := []string{"9.0 no_mtls 1.000 b000", "9.0 no_workload 0.990 b000", "5.0 no_token 0.010 a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// routes is a policy by roles: /orders/** for clerks, /admin/* for admins, /users/SUB for oneself, and
// /public for everybody.
func routes(_ context.Context, _ time.Time, req *authz.Request, id authz.Identity) bool {
	user := id.Tokens["users"]
	roles, _ := user.Claims["roles"].([]any)
	switch path := req.HTTP.Path.Segments; path[0] {
	case "public":
		return true
	case "orders":
		return slices.Contains(roles, any("clerk"))
	case "admin":
		return slices.Contains(roles, any("admin"))
	case "users":
		return user.Status == authz.TokenValid && user.Claims["sub"] == path[1]
	}
	return false
}

func at(path string, roles ...any) func(*history.Record) {
	return func(r *history.Record) {
		r.Path, r.Route = path, ""
		r.Tokens["users"].Claims["roles"] = roles
	}
}

func by(subject string) func(*history.Record) {
	return func(r *history.Record) {
		user := r.Tokens["users"]
		user.Subject = subject
		r.Tokens["users"] = user
	}
}

// TestWithThePolicy plants what only the policy can show.
func TestWithThePolicy(t *testing.T) {
	policy := &gaps.Policy{Revision: "r1", Allows: routes, Rules: []gaps.Rule{{Name: "routes[0]"}, {Name: "routes[1]", Route: "/old", Stated: map[string]any{"path": "/old", "public": true}}}}
	admins := []*history.Record{
		allowed("1", by("root"), at("/admin/a", "admin")), allowed("2", by("root"), at("/admin/b", "admin")),
		allowed("3", by("root"), at("/admin/c", "admin")), allowed("4", by("root"), at("/users/root", "admin")),
	}
	for name, tt := range map[string]struct {
		records []*history.Record
		want    []string
	}{
		"what is needed": {[]*history.Record{allowed("5", at("/orders/7", "clerk"))}, []string{}},
		"a role that is not": {
			[]*history.Record{allowed("5", at("/orders/7", "clerk", "guest"))}, []string{"unused_grant roles guest in users (1)"},
		},
		"needed by another, not by him": {
			[]*history.Record{allowed("5", at("/orders/7", "clerk")), allowed("6", by("bob"), at("/users/bob", "clerk"))}, []string{"unused_grant roles clerk in users (1)"},
		},
		"needed elsewhere": {
			[]*history.Record{allowed("5", at("/orders/7", "clerk")), allowed("6", at("/users/alice", "clerk"))}, []string{},
		},
		"far more": {
			[]*history.Record{allowed("5", by("eve"), at("/orders/1", "clerk", "admin"))},
			[]string{"excess_privilege users:eve workload:checkout spiffe://example.org/web (1)", "unused_grant roles admin in users (1)"},
		},
		"a little more": {
			[]*history.Record{allowed("5", by("eve"), at("/orders/1", "clerk")), allowed("6", by("eve"), at("/public", "clerk"))}, []string{},
		},
		"what is everybody's is no excess": {
			[]*history.Record{
				allowed("5", by("eve"), at("/orders/1", "clerk")), allowed("6", by("root"), at("/public/a", "admin")),
				allowed("7", by("root"), at("/public/b", "admin")), allowed("8", by("root"), at("/public/c", "admin")),
			}, []string{},
		},
		"the policy is another": {
			[]*history.Record{allowed("5", by("eve"), at("/orders/1", "guest"))}, []string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, found := find(t, gaps.Config{Workloads: []string{"workload"}, Policy: policy}, append(tt.records, admins...)...)
			want := append(tt.want, "unused_rule routes[1] /old (0)")
			slices.Sort(want)
			if diff := cmp.Diff(want, found); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTheRuleIsMended shows the line of the configuration, changed.
func TestTheRuleIsMended(t *testing.T) {
	policy := &gaps.Policy{Allows: routes, Rules: []gaps.Rule{{Name: "routes[0]", Route: "/orders/**", Stated: map[string]any{
		"path": "/orders/**", "public": true, "methods": []any{"GET"}, "body": map[string]any{"amount": map[string]any{"max": json.Number("10")}},
	}}}}
	report, _ := find(t, gaps.Config{Policy: policy}, allowed("2", withoutTokens, withoutCertificate, named("routes[0]", "/orders/**")))
	for _, gap := range report.Gaps {
		if gap.Kind == gaps.NoToken && gap.Subject == "GET /orders/**" {
			want := "policy.data.routes[0]: {path: /orders/**, methods: [GET], tokens: [users], body: {amount: {max: 10}}}\n(or leave it, where it is meant for everybody)"
			if gap.Mend != want || gap.Risk != 2 {
				t.Errorf("risk %d, %s", gap.Risk, gap.Mend)
			}
			return
		}
	}
	t.Errorf("no gap: %+v", report.Gaps)
}

func TestUnknown(t *testing.T) {
	bare := allowed("1", func(r *history.Record) { r.Tokens["users"] = history.Token{Status: authz.TokenValid, Subject: "a"} })
	report, _ := find(t, gaps.Config{}, bare, allowed("2", denied, named("", ""), func(r *history.Record) { r.Entrypoint = "data.mine.allow" }))
	said := strings.Join(report.Unknown, "\n")
	for _, want := range []string{"Of 1 of 4 valid tokens the record has no iat or no exp", "1 of 4 valid tokens the record has no aud", "no algorithm", "size of a signing key", "Without --config", "data.mine.allow names no rule"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
	policy := &gaps.Policy{Revision: "r2", Allows: func(context.Context, time.Time, *authz.Request, authz.Identity) bool { return false }}
	report, _ = find(t, gaps.Config{Policy: policy}, allowed("1"))
	said = strings.Join(report.Unknown, "\n")
	for _, want := range []string{"1 of 1 decisions were made by another revision", "denies 1 of 1 samples"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
}

// TestBounded has more of everything than there is room for.
func TestBounded(t *testing.T) {
	finder := gaps.New(gaps.Config{})
	for i := range 3000 {
		finder.Add(allowed(fmt.Sprint(i), withoutCertificate, by(fmt.Sprintf("user%d", i)), func(r *history.Record) {
			r.Route, r.Path, r.Source.Address = "", fmt.Sprintf("/x%s", strings.Repeat("y", i)), fmt.Sprint(i)
		}))
	}
	report, err := finder.Report(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if report.Decisions != 3000 || len(report.Matrix.Principals) > 200 || len(report.Matrix.Patterns) > 100 {
		t.Errorf("%d decisions, %d × %d", report.Decisions, len(report.Matrix.Principals), len(report.Matrix.Patterns))
	}
	said := strings.Join(report.Unknown, "\n")
	for _, want := range []string{`1000 subjects of "no mutual TLS"; 2000 decisions`, "2500 decisions are not in the matrix"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said:\n%s", want, said)
		}
	}
}
