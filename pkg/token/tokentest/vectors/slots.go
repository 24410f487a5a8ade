package main

import "github.com/sallyport/sallyport/pkg/authz"

// slots is about several tokens on one request.
func (f *forge) slots() map[string][]vector {
	user := f.good(nil)
	workload, err := f.keysByID["workload"].Sign(nil, workloadClaims(nil))
	f.fail(err)
	old, err := f.keysByID["workload"].Sign(nil, workloadClaims(map[string]any{"iat": 1, "exp": 2}))
	f.fail(err)
	both := func(name, authorization, own string, want authz.Reason, slots ...string) vector {
		return headers(name, map[string][]string{"authorization": {"Bearer " + authorization}, "x-workload-token": {own}}, want, slots...)
	}
	alone := func(name, own string, want authz.Reason, slots ...string) vector {
		return headers(name, map[string][]string{"x-workload-token": {own}}, want, slots...)
	}
	return map[string][]vector{"39-slots": {
		both("user and workload", user, workload, authz.Allowed, "users", "workload"),
		alone("workload alone", workload, authz.Allowed, "workload"),
		both("swapped", workload, user, authz.TokenIssuerUnknown),
		both("the user's twice", user, user, authz.TokenIssuerUnknown),
		both("the workload's twice", workload, workload, authz.TokenIssuerUnknown),
		both("good user, expired workload", user, old, authz.TokenExpired),
		both("good user, malformed workload", user, "x", authz.TokenMalformed),
		both("good user, empty workload", user, "", authz.TokenMalformed),
		alone("with a scheme", "Bearer "+workload, authz.TokenMalformed),
		alone("joined", workload+","+workload, authz.TokenMultiple),
		headers("two workload headers", map[string][]string{"x-workload-token": {workload, workload}}, authz.TokenMultiple),
		headers("users by header, partner by nothing", map[string][]string{"authorization": {"Bearer " + user}}, authz.Allowed, "users"),
		headers("two issuers in two places of one request", map[string][]string{
			"authorization": {"Bearer " + f.oddly("checking", "ES256", "checking")}, "cookie": {"session=" + user},
		}, authz.Allowed, "odd", "users"),
	}}
}
