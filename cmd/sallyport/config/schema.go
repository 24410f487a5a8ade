package config

import _ "embed" // schema.json

//go:embed schema.json
var schema string

// Schema is the JSON Schema of a configuration file, for editors. It refuses what the form of a
// setting shows; files that must be there, clashing rules and open listeners are for [Parse].
func Schema() string { return schema }
