//go:build race

package differential_test

// rounds is how often each mutation is tried with a token of each algorithm: fewer under the race
// detector, for which a token costs ten times as much.
const rounds = 4
