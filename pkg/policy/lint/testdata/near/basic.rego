package envoy.authz

import input.attributes.request.http

default allow := false

allow if data.passwords[name] == crypto.sha256(password)

name := parsed[0]

password := parsed[1]

parsed := split(base64.decode(encoded), ":") if [_, encoded] := split(http.headers.authorization, " ")

allow if {
	[_, encoded2] := split(http.headers.authorization, " ")
	[user, secret] := split(base64.decode(encoded2), ":")
	data.passwords[user] == crypto.sha256(secret)
}

allow if crypto.sha256(http.headers["x-api-key"]) in data.hashes
