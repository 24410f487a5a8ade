// Package policies holds the policy that Sallyport decides by when it is given none: a Zero Trust
// baseline that reads its rules from the configuration. The head of envoy/authz/authz.rego tells
// how to write them.
package policies

import "embed"

// FS holds the shipped Rego and its tests, in the folders of its packages.
//
//go:embed envoy sallyport
var FS embed.FS
