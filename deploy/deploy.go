// Package deploy holds the configurations that users copy. The demo runs them unchanged.
package deploy

import _ "embed" // for the files below

// Envoy is deploy/envoy/envoy.yaml: Sallyport before an HTTP service.
//
//go:embed envoy/envoy.yaml
var Envoy string

// EnvoyNetwork is deploy/envoy/network.yaml: Sallyport before a TCP service.
//
//go:embed envoy/network.yaml
var EnvoyNetwork string
