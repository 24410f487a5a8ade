package config_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// TestSchemaTakesExamples holds that the examples of the repository are valid for an editor and for us.
func TestSchemaTakesExamples(t *testing.T) {
	schema := compiled(t)
	all := examples(t)
	if len(all) < 10 {
		t.Fatalf("%d examples, want at least 10", len(all))
	}
	for name, text := range all {
		t.Run(name, func(t *testing.T) {
			if err := schema.Validate(instance(t, text)); err != nil {
				t.Errorf("the schema: %v", err)
			}
			if _, err := config.Parse(filepath.Join(beside(t), "sallyport.yaml"), []byte(text)); err != nil {
				t.Errorf("Parse: %v", err)
			}
		})
	}
}

// examples are configurations by where they stand.
func examples(t *testing.T) map[string]string {
	t.Helper()
	read := func(parts ...string) string {
		text, err := os.ReadFile(filepath.Join(parts...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	all := map[string]string{
		"full.yaml": read("testdata", "examples", "full.yaml"),
		"demo.yaml": strings.NewReplacer("{GRPC}", "127.0.0.1:1", "{ADMIN}", "127.0.0.1:2", "{LOG}", "decisions.ndjson", "{USERS}", "http://127.0.0.1:3",
			"{WORKLOADS}", "http://127.0.0.1:4").Replace(read("..", "demo.yaml")),
		"empty":            "",
		"sections":         "listen:\nrequest: ~\njwt:\npolicy: {data: }\ndecisionLog:\n",
		"numbers":          "request: {maxBodyBytes: 65536}\njwt: {leeway: 0}\n",
		"forms of numbers": "request: {maxBodyBytes: '64', timeout: 1m0.5s}\njwt: {leeway: '0'}\n",
		"addresses":        "listen: {grpc: 'unix:///run/a.sock', admin: ''}\n",
		"candidates":       "policy: {candidate: {}}\n",
		"a candidate":      "policy: {candidate: {files: [not/there], sample: 12.5%, promote: {maxDifferences: 0, decisions: '10'}}}\n",
		"another":          "policy: {candidate: {sample: 0.125, allowNet: [], opa: {bundles: {b: {resource: x}}}, timeout: 10ms}}\n",
		"all":              "policy: {candidate: {sample: 1}}\n",
		"data":             "policy: {data: {a: [1, 2.5, ~, yes, 2026-11-01, {b: true}]}}\n",
	}
	for _, page := range []string{filepath.Join("..", "..", "..", "README.md"), "reference.md"} {
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(read(page), -1) {
			if regexp.MustCompile(`(?m)^(jwt|listen|policy):`).MatchString(block[1]) { // not Envoy's
				all[page] = block[1]
			}
		}
		if all[page] == "" {
			t.Errorf("no example in %s", page)
		}
	}
	for name, rules := range istioRules {
		all["Istio, "+name] = string(pasted(rules))
	}
	return all
}

// beside is a directory with the files that examples name.
func beside(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt", "spire.json", "keys.json", "revoked.yaml"} {
		write(t, filepath.Join(dir, name), "")
	}
	if err := os.Mkdir(filepath.Join(dir, "policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSchemaRefuses holds that what the form of a file shows to be wrong is refused by both.
func TestSchemaRefuses(t *testing.T) {
	schema := compiled(t)
	const good = "name: a, issuer: 'https://a', audiences: [x]"
	rule := func(more string) string { return "jwt: {rules: [{" + good + ", " + more + "}]}" }
	tests := map[string]string{
		"a list":                  "[]",
		"an unknown section":      "jwtt: {}",
		"an unknown setting":      "listen: {gprc: 'a:1'}",
		"unknown in a rule":       rule("jwks_uri: 'https://a'"),
		"another kind of section": "listen: []",
		"another kind of value":   "decisionLog: {stdout: 'yes'}",
		"a setting without value": "listen: {grpc: }",
		"TLS without value":       "listen: {tls: }",
		"an empty text":           "decisionLog: {file: ''}",
		"an address":              "listen: {grpc: localhost}",
		"a URL as address":        "listen: {grpc: 'http://localhost:1'}",
		"a relative socket":       "listen: {grpc: 'unix://a.sock'}",
		"TLS without its files":   "listen: {tls: {certFile: a}}",
		"clients without a CA":    "listen: {tls: {certFile: testdata/file, keyFile: testdata/file, allowedClients: [a]}}",
		"a client that is none":   "listen: {grpc: 'a:1', tls: {certFile: testdata/file, keyFile: testdata/file, clientCAFile: testdata/file, allowedClients: ['a b']}}",
		"a value not listed":      "request: {ambiguousPaths: allow}",
		"a size":                  "request: {maxBodyBytes: 1MB}",
		"no size":                 "request: {maxBodyBytes: 0}",
		"no size as text":         "request: {maxBodyBytes: 0KiB}",
		"a negative size":         "request: {maxBodyBytes: -1}",
		"a size beyond":           "request: {maxBodyBytes: 2147483648}",
		"a duration without unit": "request: {timeout: 5}",
		"a duration of words":     "request: {timeout: 5 seconds}",
		"no time":                 "request: {timeout: 0s}",
		"negative leeway":         "jwt: {leeway: -1s}",
		"a cache below nothing":   "jwt: {cache: {maxBytes: -1}}",
		"a cache without limit":   "jwt: {cache: {maxBytes: unlimited}}",
		"a memo below nothing":    "policy: {memo: {maxBytes: -1}}",
		"a path in the data":      "jwt: {revocation: {data: //a}}",
		"a list of no age":        "jwt: {revocation: {file: testdata/file, maxAge: 0s}}",
		"a list that is not text": "jwt: {revocation: {file: []}}",
		"no lifetime":             rule("maxLifetime: 0s"),
		"required by a word":      rule("required: 'yes'"),
		"an issuer and a domain":  rule("trustDomain: example.org, jwks: '{}'"),
		"a domain with types":     "jwt: {rules: [{trustDomain: a, audiences: [x], jwks: '{}', types: [JWT]}]}",
		"a domain as a URL":       "jwt: {rules: [{trustDomain: 'spiffe://a', audiences: [x], jwks: '{}'}]}",
		"rules that are none":     "jwt: {rules: {}}",
		"a rule without issuer":   "jwt: {rules: [{name: a, audiences: [x]}]}",
		"a rule for anyone":       "jwt: {rules: [{name: a, issuer: 'https://a'}]}",
		"no audience":             "jwt: {rules: [{name: a, issuer: 'https://a', audiences: []}]}",
		"an audience as text":     "jwt: {rules: [{name: a, issuer: 'https://a', audiences: x}]}",
		"an audience of numbers":  "jwt: {rules: [{name: a, issuer: 'https://a', audiences: [7]}]}",
		"rules without names":     "jwt: {rules: [{issuer: 'https://a', audiences: [x]}, {issuer: 'https://b', audiences: [x]}]}",
		"a rule of nothing":       "jwt: {rules: [~]}",
		"a name that is none":     "jwt: {rules: [{name: A b, issuer: 'https://a', audiences: [x]}]}",
		"HMAC":                    rule("algorithms: [HS256]"),
		"none":                    rule("algorithms: [none]"),
		"no algorithm":            rule("algorithms: []"),
		"a type":                  rule("types: [dpop+jwt]"),
		"two sources of keys":     rule("jwks: '{}', jwksUri: 'https://a/jwks'"),
		"files and addresses":     rule("jwksFile: testdata/file, jwksUri: 'https://a/jwks'"),
		"a set that is no text":   rule("jwks: {keys: []}"),
		"an address of keys":      rule("jwksUri: 'ftp://a/jwks'"),
		"a password in it":        rule("jwksUri: 'https://a:b@c/jwks'"),
		"a fragment in it":        rule("jwksUri: 'https://a/jwks#b'"),
		"no time to fetch":        rule("timeout: 0s"),
		"a header as text":        rule("fromHeaders: [authorization]"),
		"a header without name":   rule("fromHeaders: [{prefix: 'a '}]"),
		"a header's name":         rule("fromHeaders: [{name: 'a b'}]"),
		"the header host":         rule("fromHeaders: [{name: HOST}]"),
		"a prefix with no end":    rule("fromHeaders: [{name: a, prefix: Bearer}]"),
		"a prefix with a comma":   rule("fromHeaders: [{name: a, prefix: 'a,'}]"),
		"a cookie's name":         rule("fromCookies: ['a=b']"),
		"an empty parameter":      rule("fromParams: ['']"),
		"a claim without header":  rule("outputClaimToHeaders: [{claim: sub}]"),
		"a claim to framing":      rule("outputClaimToHeaders: [{header: Content-Length, claim: sub}]"),
		"a payload to framing":    rule("outputPayloadToHeader: Upgrade"),
		"an empty claim":          rule("spaceDelimitedClaims: ['']"),
		"an entrypoint":           "policy: {path: envoy//authz}",
		"files as text":           "policy: {files: testdata}",
		"data as text":            "policy: {data: x}",
		"no steps":                "policy: {maxSteps: 0}",
		"half a step":             "policy: {maxSteps: 1.5}",
		"a descriptor, unused":    "policy: {protoDescriptor: testdata/file, skipRequestBodyParse: true}",
		"an unknown condition":    "policy: {entrypoints: [{hostname: a.example.com, path: a/b}]}",
		"a rule without its path": "policy: {entrypoints: [{host: a.example.com}]}",
		"a host with a port":      "policy: {entrypoints: [{host: 'a.example.com:443', path: a/b}]}",
		"a host of a connection":  "policy: {entrypoints: [{host: a.example.com, network: true, path: a/b}]}",
		"an extension of number":  "policy: {entrypoints: [{contextExtension: {a: 1}, path: a/b}]}",
		"a port of the network":   "policy: {capabilities: {allowNet: ['a:443']}}",
		"a header that routes":    "policy: {outputHeaders: [host]}",
		"a log as a number":       "decisionLog: {file: 7}",
		"no sample":               "policy: {candidate: {sample: 0}}",
		"no sample as text":       "policy: {candidate: {sample: 0%}}",
		"more than all":           "policy: {candidate: {sample: 1.1}}",
		"more than all as text":   "policy: {candidate: {sample: 101%}}",
		"a sample of words":       "policy: {candidate: {sample: half}}",
		"no number":               "policy: {candidate: {sample: NaN}}",
		"no decision":             "policy: {candidate: {promote: {decisions: 0}}}",
		"differences below none":  "policy: {candidate: {promote: {maxDifferences: -1}}}",
		"no time to compare":      "policy: {candidate: {timeout: 0s}}",
		"a promoter that is none": "policy: {candidate: {promote: {clients: ['a b']}}}",
		"a candidate of a word":   "policy: {candidate: yes}",
		"a candidate of nothing":  "policy: {candidate: }",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if err := schema.Validate(instance(t, text)); err == nil {
				t.Error("the schema takes it")
			}
			if _, err := config.Parse("f.yaml", []byte(text)); err == nil {
				t.Error("Parse takes it")
			}
		})
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// instance is a YAML text as an editor hands it to a schema: a date is text there.
func instance(t *testing.T, text string) any {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	if len(document.Content) == 0 {
		return nil
	}
	return value(t, document.Content[0])
}

func value(t *testing.T, node *yaml.Node) any {
	t.Helper()
	switch tag := node.ShortTag(); {
	case node.Kind == yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i < len(node.Content); i += 2 {
			object[node.Content[i].Value] = value(t, node.Content[i+1])
		}
		return object
	case node.Kind == yaml.SequenceNode:
		list := []any{}
		for _, element := range node.Content {
			list = append(list, value(t, element))
		}
		return list
	case tag == "!!null":
		return nil
	case tag == "!!bool":
		return strings.EqualFold(node.Value, "true")
	case tag == "!!int" || tag == "!!float":
		return json.Number(node.Value)
	}
	return node.Value
}
