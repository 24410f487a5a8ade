// Package policies holds the policy that Sallyport decides by when it is given none: a Zero Trust
// baseline that reads its rules from the configuration. The head of envoy/authz/authz.rego tells
// how to write them. What it is made of is a library for other policies too: README.md describes it.
package policies

import "embed"

//go:generate env WRITE_PAGE=1 go test -run ^TestPage$ -count 1 .

// FS holds the shipped Rego and its tests, in the folders of its packages.
//
//go:embed envoy sallyport
var FS embed.FS

// Library holds the packages that other policies may import: all of the shipped ones but the policy
// itself. Each folder is a package of the same path, data.sallyport.roles in sallyport/roles.
//
//go:embed sallyport
var Library embed.FS
