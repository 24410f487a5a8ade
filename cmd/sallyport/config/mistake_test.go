package config_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// A mistakenFile is a file and every line of what is wrong with it, each without "f.yaml:".
type mistakenFile struct {
	name, file string
	want       []string
}

func TestParseNotYAML(t *testing.T) {
	testMistakes(t, []mistakenFile{
		{"a syntax error", "listen: {}\njwt: [\n", []string{"2:1: not YAML: did not find expected node content"}},
		{"a mapping in a value", "listen: grpc: x\n", []string{"1:1: not YAML: mapping values are not allowed in this context"}},
		{"a tab", "listen:\n\tgrpc: x\n", []string{"2:2: not YAML: found character that cannot start any token"}},
		{"an alias of nothing", "listen: *x\n", []string{"1:1: not YAML: unknown anchor 'x' referenced"}},
		{"not UTF-8", "# caf\xc3\xa9\nx: é\xff\n", []string{"2:5: not UTF-8"}},
		{"UTF-16", "\xff\xfea\x00:\x00", []string{"1:1: not UTF-8"}},
		{"a control character", "listen:\n  grpc: \x00\n", []string{"2:9: a control character"}},
		{"two documents", "listen: {}\n---\njwt: {}\n", []string{"2:1: a second YAML document; there must be one"}},
		{"a broken second document", "listen: {}\n---\njwt: [\n", []string{"3:1: not YAML: did not find expected node content"}},
		{"too much", strings.Repeat("#", 1<<20+1), []string{"1:1: larger than 1 MiB"}},
		{"no mapping", "listen\n", []string{"1:1: must be a mapping, not text"}},
		{"a list", "- listen\n", []string{"1:1: must be a mapping, not a list"}},
	})
}

func TestParseNames(t *testing.T) {
	testMistakes(t, []mistakenFile{
		{"one letter is missing", "listen:\n  admn: ''\n", []string{`2:3: listen.admn: unknown field; did you mean "admin"?`}},
		{"other capitals", "jwt: {rules: [{name: a, issuer: 'https://a', audiences: [x], jwksURI: x}]}\n", []string{
			`1:62: jwt.rules[0].jwksURI: unknown field; did you mean "jwksUri"?`}},
		{"nothing is near", "listen: {frobnicate: 1}\n", []string{"1:10: listen.frobnicate: unknown field"}},
		{"a short name is near nothing", "listen: {x: 1}\n", []string{"1:10: listen.x: unknown field"}},
		{"a name that is no name", "\"a b\\nc\": 1\n", []string{`1:1: ["a b\nc"]: unknown field`}},
		{"a very long name", strings.Repeat("x", 50) + ": 1\n", []string{
			`1:1: ["` + strings.Repeat("x", 40) + `…"]: unknown field`}},
		{"not text", "listen: {1: 2, true: 3, ? [a] : 4, ~: 5}\n", []string{
			"1:10: listen.1: a name must be text; put it in quotes if it is meant",
			"1:16: listen.true: a name must be text; put it in quotes if it is meant",
			`1:27: listen[""]: a name must be text; put it in quotes if it is meant`,
			`1:36: listen["~"]: a name must be text; put it in quotes if it is meant`}},
		{"twice", "listen: {insecure: true}\njwt: {}\nlisten: {insecure: false}\n", []string{"3:1: listen: set twice; first in line 1"}},
		{"twice in data", "policy:\n  data:\n    a: 1\n    \"a\": 2\n", []string{"4:5: policy.data.a: set twice; first in line 3"}},
		{"anchor, alias and merge key", "listen: &l\n  grpc: x\njwt: *l\nrequest:\n  <<: *l\n", []string{
			"1:9: listen: YAML anchors and aliases are not supported; write the value out",
			"3:6: jwt: YAML anchors and aliases are not supported; write the value out",
			`5:3: request["<<"]: YAML merge keys are not supported; write the values out`}},
		{"an anchor on a name", "&a listen: {}\n", []string{"1:1: listen: YAML anchors and aliases are not supported; write the value out"}},
		{"a tag", "policy: {path: !!str a/b, data: {x: !!binary aGk=, y: !mine z}}\n", []string{
			"1:16: policy.path: YAML tags are not supported",
			"1:37: policy.data.x: YAML tags are not supported",
			"1:55: policy.data.y: YAML tags are not supported"}},
	})
}

func TestParseValues(t *testing.T) {
	testMistakes(t, []mistakenFile{
		{"another kind", "listen: []\nrequest: 5\njwt: {rules: {}}\npolicy: {path: [a], data: text}\ndecisionLog: {stdout: yes, file: 7}\n", []string{
			"1:9: listen: must be a mapping, not a list",
			"2:10: request: must be a mapping, not a number",
			"3:14: jwt.rules: must be a list, not a mapping",
			"4:16: policy.path: must be text, not a list",
			"4:27: policy.data: must be a mapping, not text",
			"5:23: decisionLog.stdout: must be true or false, not text",
			"5:34: decisionLog.file: must be text, not a number; put it in quotes if it is meant"}},
		{"no value", "listen:\n  grpc:\n  tls:\nrequest: {timeout: ~}\n", []string{
			"2:8: listen.grpc: has no value; leave the name out too, to get the default",
			"3:7: listen.tls: has no value; leave the name out too, to get the default",
			"4:20: request.timeout: has no value; leave the name out too, to get the default"}},
		{"logs and traces in other words", "log: {format: logfmt, level: trace}\ntelemetry: {clientTrace: follow}\n", []string{
			`1:15: log.format: unknown value "logfmt"; must be one of text, json`,
			`1:30: log.level: unknown value "trace"; must be one of debug, info, warn, error`,
			`2:26: telemetry.clientTrace: unknown value "follow"; must be one of link, parent, ignore`}},
		{"nothing in it", "listen: {grpc: ''}\ndecisionLog: {file: \"\"}\n", []string{
			"1:16: listen.grpc: must not be empty",
			"2:21: decisionLog.file: must not be empty"}},
		{"durations", "request: {timeout: 5}\njwt: {leeway: 1 minute}\n", []string{
			"1:20: request.timeout: must be a duration such as 500ms or 1m30s",
			"2:15: jwt.leeway: must be a duration such as 500ms or 1m30s"}},
		{"durations out of range", "request: {timeout: 0s}\njwt: {leeway: 5m1s}\n", []string{
			"1:20: request.timeout: must be more than 0",
			"2:15: jwt.leeway: must be from 0s to 5m"}},
		{"a negative leeway", "jwt: {leeway: -1s}\n", []string{"1:15: jwt.leeway: must be from 0s to 5m"}},
		{"a size", "request: {maxBodyBytes: 1MB}\n", []string{"1:25: request.maxBodyBytes: must be a size such as 64KiB, 1MiB or a number of bytes"}},
		{"a negative size", "request: {maxBodyBytes: -1}\n", []string{"1:25: request.maxBodyBytes: must be a size such as 64KiB, 1MiB or a number of bytes"}},
		{"no size", "request: {maxBodyBytes: 0}\n", []string{"1:25: request.maxBodyBytes: must be from 1 byte to 1GiB"}},
		{"a size that overflows", "request: {maxBodyBytes: 9007199254740993GiB}\n", []string{"1:25: request.maxBodyBytes: must be from 1 byte to 1GiB"}},
		{"a size that no number holds", "request: {maxBodyBytes: 99999999999999999999}\n", []string{"1:25: request.maxBodyBytes: must be from 1 byte to 1GiB"}},
		{"an unknown value", "request: {ambiguousPaths: allow}\n", []string{`1:27: request.ambiguousPaths: unknown value "allow"; must be one of deny, flag`}},
		{"a long value is cut", "request: {ambiguousPaths: " + strings.Repeat("x", 99) + "}\n", []string{
			`1:27: request.ambiguousPaths: unknown value "` + strings.Repeat("x", 40) + `…"; must be one of deny, flag`}},
		{"numbers that JSON lacks", "policy: {data: {a: .inf, b: [.nan]}}\n", []string{
			"1:20: policy.data.a: must be a number that JSON can write",
			"1:30: policy.data.b[0]: must be a number that JSON can write"}},
	})
}

func TestParseListen(t *testing.T) {
	const open = "listen.grpc: other machines can reach this address, and anyone there could ask; " +
		"set listen.tls with a clientCAFile, listen on loopback or a Unix socket, or accept it with listen.insecure: true"
	const openAdmin = "listen.admin: other machines can reach this address, and anyone there could look; " +
		"set listen.adminTLS with a clientCAFile, listen on loopback or a Unix socket, or accept it with listen.insecureAdmin: true"
	testMistakes(t, []mistakenFile{
		{"admin on all interfaces", "listen: {admin: ':9192'}\n", []string{"1:17: " + openAdmin}},
		{"the permission of the other listener", "listen: {admin: ':9192', insecure: true}\n", []string{"1:17: " + openAdmin}},
		{"admin TLS that asks for no certificate", "listen: {admin: ':9192', adminTLS: {certFile: testdata/file, keyFile: testdata/file}}\n", []string{"1:17: " + openAdmin}},
		{"a socket's mode and owner", "listen: {socket: {mode: 0660, owner: a b, group: ''}}\n", []string{
			"1:25: listen.socket.mode: must be text, not a number; put it in quotes if it is meant",
			"1:38: listen.socket.owner: must be the name or number of a user or group",
			"1:50: listen.socket.group: must not be empty"}},
		{"a mode that is none", "listen: {socket: {mode: '0888'}}\n", []string{"1:25: listen.socket.mode: must be a mode in octal digits, such as 0660"}},
		{"no time", "listen: {drain: {delay: -1s, timeout: 0s}}\nlimits: {wait: 0s, connectionAge: -1s}\n", []string{
			"1:25: listen.drain.delay: must not be less than 0", "1:39: listen.drain.timeout: must be more than 0",
			"2:16: limits.wait: must be more than 0", "2:35: limits.connectionAge: must be more than 0"}},
		{"all interfaces", "listen: {grpc: 0.0.0.0:9191}\n", []string{"1:16: " + open}},
		{"all interfaces, without saying so", "listen: {grpc: ':9191'}\n", []string{"1:16: " + open}},
		{"a name that may be anywhere", "listen: {grpc: authz.example.com:9191}\n", []string{"1:16: " + open}},
		{"TLS that asks for no certificate", "listen: {grpc: 0.0.0.0:9191, tls: {certFile: testdata/file, keyFile: testdata/file}}\n", []string{"1:16: " + open}},
		{"not addresses", "listen:\n  grpc: 9191\n  admin: localhost:http\n", []string{
			"2:9: listen.grpc: must be host:port or unix:///path",
			"3:10: listen.admin: must end with a port from 0 to 65535"}},
		{"a URL", "listen: {grpc: 'http://localhost:9191'}\n", []string{"1:16: listen.grpc: must be host:port or unix:///path"}},
		{"a port out of range", "listen: {grpc: 'localhost:65536'}\n", []string{"1:16: listen.grpc: must end with a port from 0 to 65535"}},
		{"a relative socket", "listen: {grpc: unix://grpc.sock}\n", []string{"1:16: listen.grpc: must be unix:// and an absolute path of at most 107 bytes"}},
		{"a socket's path that is too long", "listen: {grpc: unix:///" + strings.Repeat("x", 107) + "}\n", []string{
			"1:16: listen.grpc: must be unix:// and an absolute path of at most 107 bytes"}},
		{"the same address twice", "listen: {grpc: localhost:1, admin: localhost:1}\n", []string{"1:36: listen.admin: the same address as listen.grpc"}},
		{"TLS without its files", "listen:\n  tls: {allowedClients: [\"spiffe://a/b\", 'spiffe://A/b', 'a b', '']}\n", []string{
			"2:8: listen.tls.certFile: required",
			"2:8: listen.tls.keyFile: required",
			"2:25: listen.tls.allowedClients: needs clientCAFile: without it no client presents a certificate",
			"2:42: listen.tls.allowedClients[1]: must be a SPIFFE id or a DNS name",
			"2:58: listen.tls.allowedClients[2]: must be a SPIFFE id or a DNS name",
			"2:65: listen.tls.allowedClients[3]: must not be empty"}},
		{"files that cannot be read", "listen:\n  tls: {certFile: absent.crt, keyFile: testdata, clientCAFile: /dev/null}\n", []string{
			`2:19: listen.tls.certFile: "absent.crt": no such file or directory`,
			`2:40: listen.tls.keyFile: "testdata": a directory, not a file`,
			`2:64: listen.tls.clientCAFile: "/dev/null": neither a file nor a directory`}},
	})
}

func TestParsePolicy(t *testing.T) {
	testMistakes(t, []mistakenFile{
		{"entrypoints", `
policy:
  entrypoints:
    - {path: a/allow}
    - {network: true}
    - {host: "a.example.com:443", path: data.a.allow}
    - {host: a.example.com, network: true, path: a/allow}
    - {contextExtension: {policy: 1}, path: a/allow, outputHeaders: [":path"]}
`, []string{
			"4:7: policy.entrypoints[0]: needs a condition: host, contextExtension or network: true; the rule for every other check is policy.path",
			"5:7: policy.entrypoints[1].path: required",
			"6:14: policy.entrypoints[2].host: must be a host name, without a port, or *. and a domain",
			"6:41: policy.entrypoints[2].path: must not begin with data; write a/b/allow for the rule data.a.b.allow",
			"7:14: policy.entrypoints[3].host: must not be beside network: a network check has no host",
			"8:35: policy.entrypoints[4].contextExtension.policy: must be text, not a number; put it in quotes if it is meant",
			"8:70: policy.entrypoints[4].outputHeaders[0]: must not be a pseudo-header",
		}},
		{"steps", "policy: {maxSteps: 1.5}\n", []string{"1:20: policy.maxSteps: must be a whole number from 1 to 1000000000"}},
		{"no descriptor set", "policy: {protoDescriptor: absent}\n", []string{`1:27: policy.protoDescriptor: "absent": no such file or directory`}},
		{"bodies that are parsed and are not", "policy: {protoDescriptor: testdata/file, skipRequestBodyParse: true}\n", []string{
			"1:27: policy.protoDescriptor: must not be beside skipRequestBodyParse: no body is parsed then"}},
		{"paths that are no rule", "policy: {path: envoy//authz}\n", []string{"1:16: policy.path: must be a rule's path such as envoy/authz/allow"}},
		{"a reference", "policy: {path: data.envoy.authz.allow}\n", []string{
			"1:16: policy.path: must not begin with data; write a/b/allow for the rule data.a.b.allow"}},
		{"files that are not there", "policy: {files: [testdata, absent/, 5]}\n", []string{
			`1:28: policy.files[1]: "absent": no such file or directory`,
			"1:37: policy.files[2]: must be text, not a number; put it in quotes if it is meant"}},
		{"headers that policy cannot set", "policy: {outputHeaders: [':path', Host, Content-Length, 'a b', X-Good]}\n", []string{
			"1:26: policy.outputHeaders[0]: must not be a pseudo-header",
			"1:35: policy.outputHeaders[1]: must not be host",
			"1:41: policy.outputHeaders[2]: must not be a header that frames the request",
			"1:57: policy.outputHeaders[3]: must be a header name"}},
		{"a log beside nothing", "decisionLog: {file: absent/decisions.ndjson}\n", []string{
			`1:21: decisionLog.file: "absent/decisions.ndjson": no such file or directory`}},
		{"rotation of nothing", "decisionLog: {maxSize: 1MiB, maxFiles: 3}\n", []string{
			"1:24: decisionLog.maxSize: needs decisionLog.file"}},
		{"renamed files that never are", "decisionLog: {file: decisions.ndjson, maxFiles: 3, maxAge: 0s, whenFull: wait, blockTimeout: -1s}\n", []string{
			"1:49: decisionLog.maxFiles: needs decisionLog.maxSize", "1:60: decisionLog.maxAge: needs decisionLog.maxSize",
			`1:74: decisionLog.whenFull: unknown value "wait"; must be one of drop, block, deny`, "1:94: decisionLog.blockTimeout: must be more than 0"}},
		{"keeping credentials", "decisionLog:\n  keep:\n    headers: [Authorization, ':path']\n    cookies: [sid, a b]\n    query: [access_token]\n    claims: [client_secret]\n", []string{
			"3:15: decisionLog.keep.headers[0]: the name of a credential: its values are never recorded",
			"3:30: decisionLog.keep.headers[1]: must not be a pseudo-header",
			"4:15: decisionLog.keep.cookies[0]: the name of a credential: its values are never recorded",
			"4:20: decisionLog.keep.cookies[1]: must be a cookie's name",
			"5:13: decisionLog.keep.query[0]: the name of a credential: its values are never recorded",
			"6:14: decisionLog.keep.claims[0]: the name of a credential: its values are never recorded"}},
		{"a log beside a file", "decisionLog: {file: testdata/file/decisions.ndjson}\n", []string{
			`1:21: decisionLog.file: "testdata/file/decisions.ndjson": not in a directory`}},
	})
}

func TestMistakesAsJSON(t *testing.T) {
	_, err := config.Parse("f.yaml", []byte("listen:\n  gprc: x\n"))
	var mistakes config.Mistakes
	if !errors.As(err, &mistakes) {
		t.Fatalf("got %T, want config.Mistakes", err)
	}
	got, err := json.Marshal(mistakes)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"file":"f.yaml","line":2,"column":3,"path":"listen.gprc","message":"unknown field; did you mean \"grpc\"?"}]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func testMistakes(t *testing.T, tests []mistakenFile) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg, err := config.Parse("f.yaml", []byte(test.file))
			if err == nil || cfg != nil {
				t.Fatalf("got %+v and the error %v, want an error alone", cfg, err)
			}
			got := strings.Split(strings.ReplaceAll(err.Error(), "f.yaml:", ""), "\n")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
