package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// again has a candidate decide what a record tells of.
func again(t *testing.T, rules string, past *policy.Past) (authz.Decision, error) {
	t.Helper()
	e := configured(t, rules, policy.Config{Offline: true, Capabilities: policy.Capabilities{AllowNet: []string{"127.0.0.1"}}})
	replay, err := policy.NewReplay(policy.ReplayConfig{Candidate: e, AtRecords: true})
	if err != nil {
		t.Fatal(err)
	}
	past.Entrypoint = "data.envoy.authz.allow"
	if past.Request == nil {
		past.Request = &authz.Request{HTTP: &authz.HTTP{Method: "GET", Host: "a", Path: authz.Path{Raw: "/a"}}}
	}
	return replay.Again(t.Context(), past)
}

// TestAgain has what a record tells of the moment, and of places that it does not have.
func TestAgain(t *testing.T) {
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		rules string
		past  policy.Past
		want  string // allowed, denied, or a part of why it is undecided
	}{
		"the recorded time": {`allow if time.clock(time.now_ns())[0] == 12`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`), Time: noon}}, "allowed"},
		"the check's time, where the recorded policy saw none": {`allow if time.clock(time.now_ns())[0] == 12`, policy.Past{Time: noon, Basis: authz.Basis{Input: []byte(`{}`)}}, "allowed"},
		"a recorded number":                     {`allow if rand.intn("a", 10) == 7`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`), Results: []byte(`{"rand.intn":{"[\"a\",10]":7}}`)}}, "allowed"},
		"a number that is not recorded":         {`allow if rand.intn("b", 10) >= 0`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`), Results: []byte(`{"rand.intn":{"[\"a\",10]":7}}`)}}, "no recorded answer: rand.intn"},
		"a number that is not asked for":        {`allow if { 1 == 2; rand.intn("b", 10) >= 0 }`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "denied"},
		"a recorded answer of the network":      {`allow if http.send({"method": "GET", "url": "http://127.0.0.1/"}).status_code == 200`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`), Results: []byte(`{"http.send":{"[{\"method\":\"GET\",\"url\":\"http://127.0.0.1/\"}]":{"status_code":200}}}`)}}, "allowed"},
		"the network is never asked":            {`allow if http.send({"method": "GET", "url": "http://127.0.0.1:1/"}).status_code == 200`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "no recorded answer: http.send"},
		"nor where errors are no errors":        {`allow if http.send({"method": "GET", "url": "http://127.0.0.1:1/", "raise_error": false}).status_code == 0`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "no recorded answer: http.send"},
		"a masked answer is none":               {`allow if uuid.rfc4122("k") == "[masked]"`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`), Results: []byte(`{"uuid.rfc4122":{"[\"k\"]":"[masked]"}}`)}}, "no recorded answer: uuid.rfc4122"},
		"what OPA does not record":              {`allow if crypto.x509.parse_and_verify_certificates("x")[0]`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "crypto.x509.parse_and_verify_certificates"},
		"a member that is missing":              {`allow if input.parsed_query.page`, policy.Past{Basis: authz.Basis{Input: []byte(`{"parsed_query":{}}`)}}, "not recorded: input.parsed_query.page"},
		"its absence is no condition":           {`allow if not input.parsed_query.page`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "not recorded: input.parsed_query.page"},
		"it is not come to":                     {`allow if { input.attributes.request.http.method == "POST"; input.parsed_query.page }`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "denied"},
		"all of the input is there":             {`allow if not input.parsed_query.page`, policy.Past{Whole: true, Basis: authz.Basis{Input: []byte(`{"parsed_query":{}}`)}}, "allowed"},
		"a masked value":                        {`allow if input.tokens.users.claims.email != "a"`, policy.Past{Whole: true, Basis: authz.Basis{Input: []byte(`{"tokens":{"users":{"claims":{"email":"[masked]"}}}}`), Masked: []string{"input/tokens/users/claims/email"}}}, "masked: input.tokens.users.claims.email"},
		"a value beside one that is masked":     {`allow if input.tokens.users.claims.sub == "ann"`, policy.Past{Whole: true, Basis: authz.Basis{Input: []byte(`{"tokens":{"users":{"claims":{"email":"[masked]","sub":"ann"}}}}`), Masked: []string{"input/tokens/users/claims/email"}}}, "allowed"},
		"a text with a masked part":             {`allow if startswith(input.attributes.request.http.path, "/a")`, policy.Past{Whole: true, Basis: authz.Basis{Input: []byte(`{"attributes":{"request":{"http":{"path":"/a?token=[masked]"}}}}`), Masked: []string{"input/attributes/request/http/path"}}}, "masked: input.attributes.request.http.path"},
		"bytes that no JSON holds":              {`allow if input.parsed_path[0] == "a"`, policy.Past{Whole: true, Basis: authz.Basis{Input: []byte("{\"parsed_path\":[\"a\uFFFD\"]}")}}, "not recorded: input.parsed_path"},
		"what the policy withheld":              {`allow if not input.attributes.contextExtensions.a`, policy.Past{Whole: true, Basis: authz.Basis{Input: []byte(`{"attributes":{"contextExtensions":{}}}`), Withheld: []string{"input/attributes/contextExtensions/a"}}}, "masked: input.attributes.contextExtensions.a"},
		"what it replaced":                      {`allow if input.parsed_path[1] == "x"`, policy.Past{Whole: true, Basis: authz.Basis{Input: []byte(`{"parsed_path":["a","x"]}`), Withheld: []string{"input/parsed_path/1"}}}, "masked: input.parsed_path"},
		"no input at all":                       {`allow if input.parsed_path[0] == "a"`, policy.Past{Basis: authz.Basis{Incomplete: "the input is too large to be recorded"}, Request: &authz.Request{HTTP: &authz.HTTP{Path: authz.Path{Raw: "/[masked]"}}}}, "not recorded: input.parsed_path"},
		"the path, beside the input":            {`allow if input.parsed_path[0] == "a"`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "allowed"},
		"the host, beside it":                   {`allow if input.attributes.request.http.host == "a"`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "allowed"},
		"no principal, beside it":               {`allow if not input.source.principal`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "allowed"},
		"a slot that there is not, beside it":   {`allow if not input.tokens.workload.status`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "allowed"},
		"a failure may be the index's to avert": {`allow if { to_number(input.attributes.request.http.host) > 1; input.parsed_query.page[0] == "1" }`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "the policy failed"},
		"a failure where all is known":          {`allow if to_number(input.attributes.request.http.host) > 1`, policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}, "policy_error"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := again(t, "default allow := false\n\n"+tt.rules, &tt.past)
			outcome := map[bool]string{true: "allowed", false: "denied"}[got.Allowed]
			if u, ok := errors.AsType[*policy.Undecided](err); ok {
				outcome = u.Error()
			} else if err != nil {
				outcome = string(authz.ReasonOf(err))
			}
			if !strings.Contains(outcome, tt.want) {
				t.Errorf("%s, want %s", outcome, tt.want)
			}
		})
	}
}

// TestAgainAtTheEntrypoint chooses among the entrypoints of a configuration by what a record tells.
func TestAgainAtTheEntrypoint(t *testing.T) {
	rules := "allow := {\"allowed\": true, \"reason\": \"last\"}\n\nshop := {\"allowed\": true, \"reason\": \"shop\"}\n\nnet := {\"allowed\": true, \"reason\": \"net\"}"
	byHost := []policy.Entrypoint{{Host: "*.shop.example", Path: "envoy/authz/shop"}, {Network: true, Path: "envoy/authz/net"}}
	byExtension := []policy.Entrypoint{{ContextExtensions: map[string]string{"policy": "shop"}, Path: "envoy/authz/shop"}}
	http := func(host string) *authz.Request { return &authz.Request{HTTP: &authz.HTTP{Host: host}} }
	for name, tt := range map[string]struct {
		entrypoints, recorded []policy.Entrypoint // recorded nil: unknown
		past                  policy.Past
		want                  string
	}{
		"a host":                       {byHost, nil, policy.Past{Request: http("a.shop.example:443")}, "shop"},
		"another host":                 {byHost, nil, policy.Past{Request: http("a.example")}, "last"},
		"a masked host":                {byHost, nil, policy.Past{Request: http("[masked].shop.example")}, "undecided"},
		"a connection":                 {byHost, nil, policy.Past{Request: &authz.Request{}}, "net"},
		"an extension, not recorded":   {byExtension, nil, policy.Past{Request: http("a")}, "undecided"},
		"the same choice as then":      {byExtension, byExtension, policy.Past{Request: http("a"), Entrypoint: "data.envoy.authz.shop"}, "shop"},
		"the same, and the last":       {byExtension, byExtension, policy.Past{Request: http("a"), Entrypoint: "data.envoy.authz.allow"}, "last"},
		"another choice than that was": {byExtension, byHost, policy.Past{Request: http("a"), Entrypoint: "data.envoy.authz.shop"}, "undecided"},
	} {
		t.Run(name, func(t *testing.T) {
			config := policy.ReplayConfig{Candidate: configured(t, rules, policy.Config{Offline: true, Entrypoints: tt.entrypoints})}
			tt.past.Basis.Input = []byte(`{}`)
			if tt.recorded != nil {
				recorded := configured(t, rules, policy.Config{Offline: true, Entrypoints: tt.recorded})
				config.Recorded, tt.past.Revision = []*policy.Engine{recorded}, recorded.Revision()
			}
			replay, err := policy.NewReplay(config)
			if err != nil {
				t.Fatal(err)
			}
			got, err := replay.Again(t.Context(), &tt.past)
			outcome := got.Detail
			if _, ok := errors.AsType[*policy.Undecided](err); ok {
				outcome = "undecided"
			}
			if outcome != tt.want {
				t.Errorf("%q, %v, want %q", outcome, err, tt.want)
			}
		})
	}
	if _, err := again(t, "shop := true", &policy.Past{Basis: authz.Basis{Input: []byte(`{}`)}}); err == nil || !strings.Contains(err.Error(), "no rule of the policy") {
		t.Errorf("%v, want that the candidate has no such rule", err)
	}
}
