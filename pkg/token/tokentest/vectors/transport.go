package main

import "github.com/sallyport/sallyport/pkg/authz"

// transport is about where tokens stand on a request.
func (f *forge) transport() map[string][]vector {
	return map[string][]vector{
		"01-one-credential": f.oneCredential(),
		"02-scheme":         f.scheme(),
		"03-places":         f.places(),
		"04-bytes":          f.bytes(),
	}
}

func (f *forge) oneCredential() []vector {
	t := f.good(nil)
	return []vector{
		valid("one", t),
		headers("none", nil, authz.Allowed),
		headers("two values", map[string][]string{"authorization": {"Bearer " + t, "Bearer " + f.good(map[string]any{"sub": "eve"})}}, authz.TokenMultiple),
		headers("the same value twice", map[string][]string{"authorization": {"Bearer " + t, "Bearer " + t}}, authz.TokenMultiple),
		headers("a value and an empty one", map[string][]string{"authorization": {"Bearer " + t, ""}}, authz.TokenMultiple),
		authorization("two values joined", "Bearer "+t+",Bearer "+t, authz.TokenMultiple),
		authorization("Basic joined before", "Basic dTpw,Bearer "+t, authz.TokenMultiple),
		authorization("Basic joined after", "Bearer "+t+", Basic dTpw", authz.TokenMultiple),
		authorization("a comma at the end", "Bearer "+t+",", authz.TokenMultiple),
		authorization("parameters behind the token", "Bearer "+t+", realm=x", authz.TokenMultiple),
		headers("cookie twice", map[string][]string{"cookie": {"session=" + t + "; session=" + t}}, authz.TokenMultiple),
		headers("cookie twice in two headers", map[string][]string{"cookie": {"session=" + t, "session=x"}}, authz.TokenMultiple),
		headers("cookie joined with a comma", map[string][]string{"cookie": {"a=b,session=" + t}}, authz.TokenMultiple),
		{Name: "parameter twice", Path: "/?access_token=" + t + "&access_token=x", Want: authz.TokenMultiple},
	}
}

func (f *forge) scheme() []vector {
	t := f.good(nil)
	ok := func(name, value string) vector {
		return headers(name, map[string][]string{"authorization": {value}}, authz.Allowed, "users")
	}
	bad := func(name, value string) vector { return authorization(name, value, authz.TokenMalformed) }
	return []vector{
		ok("lower case", "bearer "+t),
		ok("upper case", "BEARER "+t),
		bad("no space", "Bearer"+t),
		bad("a longer scheme", "BearerX "+t),
		bad("scheme alone", "Bearer"),
		bad("scheme and space alone", "Bearer "),
		bad("tab", "Bearer\t"+t),
		bad("two spaces", "Bearer  "+t),
		bad("space before", " Bearer "+t),
		bad("tab before", "\tBearer "+t),
		bad("space after", "Bearer "+t+" "),
		bad("text after", "Bearer "+t+" x"),
		bad("scheme twice", "Bearer Bearer "+t),
		bad("in quotes", `Bearer "`+t+`"`),
		bad("behind Basic", "Basic dTpw Bearer "+t),
		bad("opaque token", "Bearer 2YotnFZFEjr1zCsicMWpAA"),
		authorization("another scheme", "Basic dTpw", authz.Allowed),
		authorization("another scheme with a token in it", "DPoP "+t, authz.Allowed),
		authorization("a token alone", t, authz.Allowed),
		authorization("empty", "", authz.Allowed),
	}
}

func (f *forge) places() []vector {
	t := f.good(nil)
	return []vector{
		headers("cookie", map[string][]string{"cookie": {"a=b; session=" + t + "; c=d"}}, authz.Allowed, "users"),
		headers("cookie of another name", map[string][]string{"cookie": {"Session=" + t}}, authz.Allowed),
		headers("empty cookie", map[string][]string{"cookie": {"session="}}, authz.TokenMalformed),
		headers("cookie in quotes", map[string][]string{"cookie": {`session="` + t + `"`}}, authz.TokenMalformed),
		{Name: "parameter", Path: "/orders?access_token=" + t, Want: authz.Allowed, Valid: []string{"users"}},
		{Name: "parameter of another name", Path: "/orders?Access_token=" + t, Want: authz.Allowed},
		{Name: "empty parameter", Path: "/orders?access_token=", Want: authz.TokenMalformed},
		headers("header and cookie", map[string][]string{"authorization": {"Bearer " + t}, "cookie": {"session=" + t}}, authz.TokenMultiple),
		headers("header and another cookie", map[string][]string{"authorization": {"Bearer " + t}, "cookie": {"session=" + f.good(map[string]any{"sub": "eve"})}}, authz.TokenMultiple),
		headers("good header and bad cookie", map[string][]string{"authorization": {"Bearer " + t}, "cookie": {"session=x"}}, authz.TokenMalformed),
		{Name: "header and parameter", Path: "/?access_token=" + t, Headers: map[string][]string{"authorization": {"Bearer " + t}}, Want: authz.TokenMultiple},
		headers("a header that no rule reads", map[string][]string{"x-token": {t}}, authz.Allowed),
		headers("an alias with an underscore", map[string][]string{"x_workload_token": {t}}, authz.Allowed),
	}
}

func (f *forge) bytes() []vector {
	t := f.good(nil)
	bad := func(name, value string) vector { return authorization(name, value, authz.TokenMalformed) }
	return []vector{
		bad("Envoy's mark for a bad byte", "Bearer "+t[:20]+"!"+t[21:]),
		bad("a replacement character", "Bearer "+t[:20]+"\ufffd"+t[21:]),
		bad("a letter beyond ASCII", "Bearer "+t+"ä"),
		bad("a full-width letter", "Bearer "+t[:20]+"Ａ"+t[21:]),
		bad("NUL", "Bearer "+t+"\x00"),
		bad("DEL", "Bearer "+t+"\x7f"),
		bad("a percent escape", "Bearer "+t[:20]+"%41"+t[21:]),
	}
}
