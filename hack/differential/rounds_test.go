//go:build !race

package differential_test

// rounds is how often each mutation is tried with a token of each algorithm: it makes 4,000 tokens
// in all.
const rounds = 8
