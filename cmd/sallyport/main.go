// Command sallyport is an authorization server for Envoy's ext_authz: it verifies the tokens on a
// request and asks the Rego policy whether it may pass.
//
// Each subcommand has its file; root.go puts them together.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
