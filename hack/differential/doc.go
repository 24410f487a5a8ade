// Package differential holds pkg/token against other people's work: go-jose and golang-jwt, which
// must accept whatever it accepts, and the public test vectors of Wycheproof. It is a module of its
// own, so that nothing of theirs leaks into ours, and all of it is tests.
package differential
