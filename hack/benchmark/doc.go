// Command benchmark measures what a check costs, in a server's own CPU time, against two others that
// are built and run beside it: a gRPC server that only says yes, and the usual way, which turns the
// CheckRequest into a map and lets Rego verify the token.
//
//	world.go      an issuer, a thousand users, the policy's data
//	mix.go        the kinds of traffic, and the CheckRequests of each
//	contender.go  builds and starts the servers, and reads their CPU time
//	empty.go      the server that only says yes
//	usual.go      the usual way
//	load.go       closed loop: as many checks as go; open loop: at a rate, with honest latencies
//	envoy.go      the same through a real Envoy, beside Envoy's own jwt_authn and RBAC
//	transport.go  Sallyport over TCP, a Unix socket and mutual TLS
//	overload.go   what becomes of checks beyond the capacity
//	memory.go     what a million users and paths leave in memory
//	report.go     the table; page.go, with plots, the page
//
// Turns alternate between the servers, since the speed of a machine changes by the minute; only
// ratios within one run mean anything. hack/bench runs it.
package main
