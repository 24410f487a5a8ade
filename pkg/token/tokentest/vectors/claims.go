package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// claims is about the payload.
func (f *forge) claims() map[string][]vector {
	return map[string][]vector{
		"28-payload":       f.payloads(),
		"29-numbers":       f.numbers(),
		"30-exp":           f.exp(),
		"31-nbf-iat":       f.nbf(),
		"32-lifetime":      {valid("ten years", f.good(map[string]any{"exp": now + 10*365*24*3600}))},
		"33-aud":           f.aud(),
		"34-iss":           f.iss(),
		"35-names":         f.names(),
		"36-odd-claims":    f.oddClaims(),
		"37-bad-signature": f.badSignature(),
		"38-no-keys":       {bearer("no rule for the issuer", f.good(map[string]any{"iss": "https://other.example"}), authz.TokenIssuerUnknown)},
	}
}

func (f *forge) payloads() []vector {
	good := f.claimsText()
	bad := func(name, text string) vector { return bearer(name, f.payload(text), authz.TokenMalformed) }
	member := func(name, text string) vector { return bearer(name, f.with(text), authz.TokenMalformed) }
	return []vector{
		bad("an array", "["+good+"]"), bad("a string", `"x"`), bad("null", "null"), bad("text", "hello"), bad("cut off", good[:len(good)-1]),
		bad("an object behind", good+"{}"), bad("bytes behind", good+"x"), bad("NUL behind", good+"\x00"), bad("a byte order mark", "\ufeff"+good),
		valid("a newline behind", f.payload(good+"\n")),
		member("sub twice", `"sub":"eve"`), member("sub twice, escaped", `"\u0073ub":"eve"`), member("exp twice", `"exp":9999999999`),
		member("twice in an object below", `"realm":{"role":"a","role":"b"}`), member("twice in an array's object", `"l":[{"a":1,"a":1}]`),
		member("Sub beside sub", `"Sub":"eve"`), member("EXP beside exp", `"EXP":9999999999`), member("sub with a long s", `"\u017fub":"eve"`),
		member("not UTF-8", "\"x\":\"\xff\""), member("overlong UTF-8", "\"x\":\"\xc0\xaf\""), member("a surrogate in UTF-8", "\"x\":\"\xed\xa0\x80\""),
		member("a lone surrogate", `"x":"\ud800"`), member("a lone low surrogate", `"x":"\udc00"`), member("two high surrogates", `"x":"\ud800\ud800"`),
		member("an escaped NUL", `"x":"\u0000"`), member("a newline in a string", "\"x\":\"a\nb\""), member("a bad escape", `"x":"\x41"`),
		member("a comma at the end", `"x":1,`), member("a comment", `"x":1/**/`), member("single quotes", `'x':1`), member("a name without quotes", `x:1`),
		member("NaN", `"x":NaN`), member("a leading zero", `"x":01`), member("a plus", `"x":+1`), member("a point alone", `"x":.5`), member("True", `"x":True`),
		valid("a surrogate pair", f.with(`"x":"\ud83d\ude00"`)),
	}
}

func (f *forge) numbers() []vector {
	return []vector{
		valid("beyond the integers of a double", f.with(`"id":9007199254740993`)),
		valid("with exponent", f.with(`"x":1e300`)),
		valid("negative zero", f.with(`"x":-0`)),
		bearer("beyond a double", f.with(`"x":1e400`), authz.TokenMalformed),
		bearer("far beyond a double", f.with(`"x":1e999999999`), authz.TokenMalformed),
		bearer("more digits than anyone needs", f.with(`"x":`+strings.Repeat("9", 65)), authz.TokenMalformed),
		bearer("no digits after the point", f.with(`"x":1.`), authz.TokenMalformed),
		bearer("no digits in the exponent", f.with(`"x":1e`), authz.TokenMalformed),
	}
}

// dated replaces a date of the good claims by a JSON text; "" takes it away.
func (f *forge) dated(name, value string) string {
	text := strings.TrimPrefix(f.json(claimsOf(map[string]any{name: nil})), "{")
	if value == "" {
		return f.payload("{" + text)
	}
	return f.payload(`{"` + name + `":` + value + "," + text)
}

func (f *forge) exp() []vector {
	bad := func(name, value string) vector { return bearer(name, f.dated("exp", value), authz.TokenClaims) }
	at := func(seconds int) string { return f.good(map[string]any{"exp": now + seconds}) }
	return []vector{
		bad("missing", ""), bad("zero", "0"), bad("a string zero", `"0"`), bad("a string", `"1900003600"`), bad("a date in words", `"2030-03-17T18:46:40Z"`),
		bad("null", "null"), bad("negative", "-1"), bad("true", "true"), bad("an array", "[1900003600]"), bad("an object", "{}"),
		bad("the year 10000", "253402300800"), bad("1e18", "1e18"), bad("9.2e18", "9.2e18"), bad("1e19", "1e19"), bad("milliseconds", "1900003600000"),
		bearer("half a second", f.good(map[string]any{"iat": nil, "exp": 0.5}), authz.TokenExpired),
		valid("the last second of 9999", f.dated("exp", "253402300799")),
		valid("a fraction", f.dated("exp", "1900003600.25")), valid("an exponent", f.dated("exp", "1.9000036e9")),
		bearer("an hour ago", f.good(map[string]any{"iat": now - 7200, "exp": now - 3600}), authz.TokenExpired),
		bearer("at the end of the leeway", at(-30), authz.TokenExpired),
		valid("a second before the end of the leeway", at(-29)),
		valid("now", at(0)),
	}
}

func (f *forge) nbf() []vector {
	bad := func(claim, name, value string) vector {
		return bearer(claim+" "+name, f.dated(claim, value), authz.TokenClaims)
	}
	var all []vector
	for _, claim := range []string{"nbf", "iat"} {
		all = append(all,
			bad(claim, "a string", `"1900000000"`), bad(claim, "null", "null"), bad(claim, "negative", "-1"), bad(claim, "zero", "0"), bad(claim, "false", "false"),
			valid(claim+" missing", f.dated(claim, "")),
			valid(claim+" at the end of the leeway", f.good(map[string]any{claim: now + 30})),
			bearer(claim+" a second beyond the leeway", f.good(map[string]any{claim: now + 31}), authz.TokenNotYetValid),
			bearer(claim+" an hour ahead", f.good(map[string]any{claim: now + 3500}), authz.TokenNotYetValid),
		)
	}
	return append(all,
		bad("iat", "the year 10000", "253402300800"),
		bearer("exp at iat", f.good(map[string]any{"iat": now + 10, "exp": now + 10}), authz.TokenClaims),
		bearer("exp before iat", f.good(map[string]any{"iat": now + 10, "exp": now + 5}), authz.TokenClaims),
	)
}

func (f *forge) aud() []vector {
	with := func(aud any) string { return f.good(map[string]any{"aud": aud}) }
	bad := func(name string, aud any) vector { return bearer(name, with(aud), authz.TokenClaims) }
	other := func(name string, aud any) vector { return bearer(name, with(aud), authz.TokenAudience) }
	return []vector{
		valid("a string", with("orders")), valid("the rule's second", with("carts")), valid("an array", with([]any{"orders"})),
		valid("one of several", with([]any{"other", "carts"})), valid("both", with([]any{"orders", "carts"})),
		bad("missing", nil), bearer("null", f.dated("aud", "null"), authz.TokenClaims), bad("empty", ""), bad("an empty array", []any{}), bad("a number", 1),
		bad("an object", map[string]any{"orders": true}), bad("a number beside a match", []any{"orders", 1}), bad("null beside a match", []any{"orders", nil}),
		bad("an empty one beside a match", []any{"orders", ""}), bad("an array in an array", []any{[]any{"orders"}}),
		other("another", "payments"), other("others", []any{"payments", "users"}), other("in another case", "Orders"), other("longer", "orders2"),
		other("shorter", "order"), other("with a space", "orders "), other("joined", "orders carts"), other("a pattern", "*"),
	}
}

func (f *forge) iss() []vector {
	unknown := func(name string, iss any) vector {
		return bearer(name, f.good(map[string]any{"iss": iss}), authz.TokenIssuerUnknown)
	}
	return []vector{
		unknown("a slash at the end", usersIssuer+"/"), unknown("in another case", strings.ToUpper(usersIssuer)), unknown("a space", usersIssuer+" "),
		unknown("http", strings.Replace(usersIssuer, "https", "http", 1)), unknown("a prefix", usersIssuer[:10]), unknown("missing", nil), unknown("a number", 1),
		unknown("an array", []any{usersIssuer}), unknown("empty", ""), unknown("another place's issuer", workloadIssuer),
		bearer("null", f.dated("iss", "null"), authz.TokenIssuerUnknown),
		bearer("another issuer's, with our key", f.sign("es256", map[string]any{"typ": "at+jwt"}, map[string]any{"iss": partnerIssuer}), authz.TokenKeyUnknown),
		bearer("another issuer's, with our key under its name", f.sign("es256", map[string]any{"typ": "at+jwt", "kid": "partner"}, map[string]any{"iss": partnerIssuer}), authz.TokenSignature),
	}
}

func (f *forge) names() []vector {
	var all []vector
	for _, claim := range []string{"sub", "jti", "client_id"} {
		for _, value := range []string{"null", `""`, "7", `["x"]`} {
			all = append(all, bearer(claim+" "+value, f.dated(claim, value), authz.TokenClaims))
		}
		all = append(all, valid(claim+" missing", f.good(map[string]any{claim: nil})))
	}
	for _, claim := range []string{"sub", "client_id", "iat", "jti"} {
		text, err := f.keysByID["es256"].Sign(map[string]any{"typ": "at+jwt"}, profile(map[string]any{claim: nil}))
		f.fail(err)
		all = append(all, bearer("at+jwt without "+claim, text, authz.TokenClaims))
	}
	written := func(name string, value any) vector {
		return bearer("a header's claim with "+name, f.good(map[string]any{"name": value}), authz.TokenClaims)
	}
	return append(all,
		written("a line break", "alice\r\nx-admin: true"), written("DEL", "a\x7f"),
		written("a space at the end", "alice "), written("a comma in a list", []any{"a,b"}),
	)
}

func (f *forge) oddClaims() []vector {
	var all []vector
	for _, name := range []string{"keys", "kty", "ciphertext", "payload", "signatures", "protected", "__proto__", "a.b", "", "typ", "alg", "Keys"} {
		all = append(all, valid("a claim named "+name, f.good(map[string]any{name: []any{map[string]any{"x": "y"}}})))
	}
	return all
}

// badSignature breaks the signature of tokens whose claims are wrong too. The signature is all
// that may be told.
func (f *forge) badSignature() []vector {
	changes := map[string]map[string]any{
		"good claims": nil, "expired": {"iat": 1, "exp": 2}, "not yet valid": {"nbf": now + 1000}, "another audience": {"aud": "x"},
		"no exp": {"exp": nil}, "no aud": {"aud": nil}, "exp a string": {"exp": "x"}, "sub a number": {"sub": 1}, "an ID token": {"nonce": "x"},
		"bound": {"cnf": map[string]any{}}, "a claim that cannot be written": {"name": "a\nb"},
	}
	var all []vector
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		h, p, _ := cut(f.good(changes[name]))
		_, _, other := cut(f.good(map[string]any{"sub": "mallory"}))
		all = append(all, bearer(name, h+"."+p+"."+other, authz.TokenSignature))
	}
	for _, id := range []string{"rs256", "rs512", "ps256", "es256", "es384", "es512", "eddsa"} {
		h, _, s := cut(f.sign(id, nil, nil))
		payload := encode([]byte(f.json(claimsOf(map[string]any{"sub": "root"}))))
		all = append(all, bearer("tampered, "+id, h+"."+payload+"."+s, authz.TokenSignature))
	}
	return all
}

// workloadClaims are those of a good token of the workload issuer, changed.
func workloadClaims(changes map[string]any) map[string]any {
	return tokentest.Change(claimsOf(map[string]any{"iss": workloadIssuer, "sub": "shop", "aud": "mesh"}), changes)
}
