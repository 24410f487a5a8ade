// Package manifests holds what deploy/ has for Kubernetes, Istio, Envoy Gateway and compose against the
// real parsers of these: Helm's engine and linter, strict decoding into the Go types of their APIs, the
// evaluator of Kubernetes' Pod Security, compose's loader, and Envoy's own validation. It is a module of
// its own, so that nothing of it leaks into ours, and all of it is tests. A cold build takes about four
// minutes of processor time.
package manifests
