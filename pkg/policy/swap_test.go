package policy_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	opabundle "github.com/open-policy-agent/opa/v1/bundle"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

// slowRules send to a slow server on one path. The answer has the data that only its revision has.
const slowRules = `package envoy.authz

allow := {"allowed": answered, "dynamic_metadata": {"n": data.found.a}}

default answered := true

answered := http.send({"method": "GET", "url": data.slow}).status_code == 200 if input.parsed_path[0] == "slow"
`

// TestSlowCheckStallsNobody has one check that waits a second for http.send while the data is
// replaced. No other check may wait for either.
func TestSlowCheckStallsNobody(t *testing.T) {
	arrived := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		close(arrived)
		select {
		case <-time.After(time.Second):
		case <-req.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	data := func(n int) map[string]any {
		return map[string]any{"found": map[string]any{"a": n}, "slow": slow.URL}
	}
	r := newRegistry(t)
	r.serve(bundlePath, pack(t, content{revision: "r1", rego: slowRules, data: data(1)}, nil))
	e, j := started(t, policy.Config{
		OPA: opa(r.URL, nil, nil), Capabilities: policy.Capabilities{AllowNet: []string{"127.0.0.1"}},
	})
	j.await(t, "policy loaded revision=r1")

	var slowly sync.WaitGroup
	slowly.Go(func() {
		begin := time.Now()
		d, err := e.Decide(t.Context(), get(t, "/slow"), authz.Identity{})
		if err != nil || !d.Allowed || d.Revision != "r1" || d.Metadata["n"] != 1.0 {
			t.Errorf("the slow check: %+v, %v, want an allow of r1, whose data it began with", d, err)
		}
		if took := time.Since(begin); took < time.Second {
			t.Errorf("the slow check took %v: it was not slow", took)
		}
	})
	<-arrived

	ctx, stop := context.WithCancel(t.Context())
	longest := make(chan time.Duration, 4)
	var quickly sync.WaitGroup
	for range cap(longest) {
		quickly.Go(func() { longest <- load(ctx, t, e) })
	}
	r.serve(bundlePath, pack(t, content{revision: "r2", patch: []opabundle.PatchOperation{{Op: "replace", Path: "/found/a", Value: 2}}}, nil))
	j.await(t, "policy loaded revision=r2")
	slowly.Wait() // the others go on beside it to its end
	stop()
	quickly.Wait()
	close(longest)
	for took := range longest {
		t.Logf("the longest of the other checks took %v", took)
		if took > 400*time.Millisecond {
			t.Errorf("a check took %v beside a slow one and a commit", took)
		}
	}
}

// load makes checks until ctx ends, and returns the time that the longest took. Each decision must
// be of the revision that it says.
func load(ctx context.Context, t *testing.T, e *policy.Engine) (longest time.Duration) {
	for ctx.Err() == nil {
		begin := time.Now()
		d, err := e.Decide(t.Context(), get(t, "/"), authz.Identity{})
		longest = max(longest, time.Since(begin))
		if err != nil || !d.Allowed || d.Revision != fmt.Sprintf("r%v", d.Metadata["n"]) {
			t.Errorf("got %+v, %v, want an allow of its revision", d, err)
			return longest
		}
	}
	return longest
}

// TestSwapsUnderLoad replaces the policy 200 times while checks run.
func TestSwapsUnderLoad(t *testing.T) {
	const rego = "package envoy.authz\n\nallow := {\"allowed\": true, \"dynamic_metadata\": {\"n\": n}}\n\nn := %d if data.found.a == %d\n"
	bundle := func(n int) []byte {
		return pack(t, content{revision: fmt.Sprintf("r%d", n), rego: fmt.Sprintf(rego, n, n), data: found(n)}, nil)
	}
	r := newRegistry(t)
	r.serve(bundlePath, bundle(0))
	e, j := started(t, policy.Config{OPA: opa(r.URL, nil, nil)})
	j.await(t, "policy loaded revision=r0")
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() { t.Logf("the longest check took %v", load(ctx, t, e)) })
	}
	for n := range 200 {
		r.serve(bundlePath, bundle(n+1))
		j.await(t, fmt.Sprintf("policy loaded revision=r%d ", n+1))
	}
	stop()
	group.Wait()
	if e.Revision() != "r200" {
		t.Errorf("revision %q after 200 swaps", e.Revision())
	}
}
