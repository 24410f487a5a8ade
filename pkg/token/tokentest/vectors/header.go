package main

import (
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// header is about the JOSE header.
func (f *forge) header() map[string][]vector {
	return map[string][]vector{
		"12-alg":               f.alg(),
		"13-symmetric":         f.symmetric(),
		"14-alg-of-the-rule":   f.algOfTheRule(),
		"15-crit":              f.refusedMember("crit", []any{"foo"}, []any{}, []any{"exp"}, "exp", nil),
		"16-b64":               append(f.refusedMember("b64", false, true, "x"), f.unencoded()),
		"17-keys-in-the-token": f.keysInTheToken(),
		"18-kid":               f.kid(),
		"19-typ":               f.typ(),
		"20-nested":            f.nested(),
		"21-header-members":    f.headerMembers(),
	}
}

func (f *forge) alg() []vector {
	_, p, s := cut(f.sign("rs256", nil, nil))
	with := func(alg string) string { // the header says alg, the signature is RS256's
		text := `{"alg":` + alg + `,"kid":"rs256"}`
		return encode([]byte(text)) + "." + p + "." + s
	}
	resigned := func(key, alg, kid string) string {
		return f.sign(key, map[string]any{"alg": alg, "kid": kid}, nil)
	}
	var all []vector
	for _, id := range []string{"rs256", "rs384", "rs512", "ps256", "ps384", "ps512", "es256", "es384", "es512", "eddsa"} {
		all = append(all, valid(id, f.sign(id, nil, nil)))
	}
	for _, alg := range []string{`"none"`, `"nOnE"`, `"NONE"`, `""`, `"HS256"`, `"FOO"`, `"rs256"`, `"RS256 "`, `"ES256K"`, `"RS1"`} {
		all = append(all, bearer("RS256 called "+alg, resignedText(f, "rs256", alg, p), authz.TokenUnsupported))
	}
	return append(all,
		bearer("none and no signature", encode([]byte(`{"alg":"none"}`))+"."+p+".", authz.TokenMalformed),
		bearer("none and a signature", with(`"none"`), authz.TokenUnsupported),
		bearer("absent", f.sign("rs256", map[string]any{"alg": nil}, nil), authz.TokenMalformed),
		bearer("a number", with("256"), authz.TokenMalformed),
		bearer("null", with("null"), authz.TokenMalformed),
		bearer("an array", with(`["RS256"]`), authz.TokenMalformed),
		bearer("RS512 for an RS256 key", resigned("rs256", "RS512", "rs256"), authz.TokenKeyUnknown),
		bearer("PS256 with an RS256 key", resigned("ps256", "PS256", "rs256"), authz.TokenKeyUnknown),
		bearer("RS256 with an ES256 key", resigned("rs256", "RS256", "es256"), authz.TokenKeyUnknown),
		bearer("ES256 with an EdDSA key", resigned("es256", "ES256", "eddsa"), authz.TokenKeyUnknown),
		bearer("another key's signature", resigned("rs384", "RS256", "rs256"), authz.TokenSignature),
	)
}

// resignedText signs with RSA a header whose alg is the given JSON.
func resignedText(f *forge, key, alg, payload string) string {
	signed := encode([]byte(`{"alg":`+alg+`,"kid":"`+key+`"}`)) + "." + payload
	signature, err := f.keysByID[key].Signature(signed)
	f.fail(err)
	return signed + "." + encode(signature)
}

// symmetric signs with what is public as if it were a secret.
func (f *forge) symmetric() []vector {
	public, ok := f.keysByID["rs256"].Private.Public().(*rsa.PublicKey)
	if !ok {
		f.misfit("rs256")
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	f.fail(err)
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	refused := func(name string, secret []byte, alg, kid string, iss string) vector {
		header := f.json(map[string]any{"alg": alg, "kid": kid})
		signed := encode([]byte(header)) + "." + encode([]byte(f.json(claimsOf(map[string]any{"iss": iss}))))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return bearer(name, signed+"."+encode(mac.Sum(nil)), authz.TokenUnsupported)
	}
	return []vector{
		refused("the PEM text as secret", block, "HS256", "rs256", usersIssuer),
		refused("the DER as secret", der, "HS256", "rs256", usersIssuer),
		refused("the modulus as secret", public.N.Bytes(), "HS256", "rs256", usersIssuer),
		refused("the JWK's n as secret", []byte(encode(public.N.Bytes())), "HS256", "rs256", usersIssuer),
		refused("an empty secret", nil, "HS256", "rs256", usersIssuer),
		refused("HS384", block, "HS384", "rs256", usersIssuer),
		refused("a symmetric key of the set", []byte("0123456789abcdef0123456789abcdef"), "HS256", "symmetric", oddIssuer),
		refused("a key by its kid, small letters", block, "hs256", "rs256", usersIssuer),
	}
}

func (f *forge) algOfTheRule() []vector {
	partner := func(key string, header map[string]any) string {
		text, err := f.keysByID[key].Sign(tokentest.Change(map[string]any{"typ": "at+jwt"}, header), profile(map[string]any{"iss": partnerIssuer}))
		f.fail(err)
		return text
	}
	return []vector{
		{Name: "allowed", Headers: map[string][]string{"authorization": {"Bearer " + partner("partner", nil)}}, Want: authz.Allowed, Valid: []string{"partner"}},
		bearer("not allowed", partner("rs256", nil), authz.TokenUnsupported),
		bearer("not allowed, with an allowed key's id", partner("es384", map[string]any{"kid": "partner"}), authz.TokenUnsupported),
		bearer("allowed, with another key", partner("es256", map[string]any{"kid": "partner"}), authz.TokenSignature),
	}
}

// refusedMember puts a member into the header, with each of the values, well signed.
func (f *forge) refusedMember(name string, values ...any) []vector {
	var all []vector
	for _, value := range values {
		header := `{"alg":"ES256","kid":"es256","` + name + `":` + f.json(value) + `}`
		all = append(all, bearer(name+" "+f.json(value), f.raw(header, f.claimsText()), authz.TokenUnsupported))
	}
	return all
}

// unencoded is a payload that is not in base64 (RFC 7797).
func (f *forge) unencoded() vector {
	signed := encode([]byte(`{"alg":"ES256","kid":"es256","b64":false,"crit":["b64"]}`)) + ".payload"
	signature, err := f.keysByID["es256"].Signature(signed)
	f.fail(err)
	return bearer("b64 false and crit", signed+"."+encode(signature), authz.TokenUnsupported)
}

func (f *forge) keysInTheToken() []vector {
	own := f.keysByID["unnamed-alg"] // any key that the issuer does not have
	embedded, err := own.Sign(map[string]any{"jwk": own.JWK()}, claimsOf(nil))
	f.fail(err)
	refused := func(name string, value any) vector {
		return bearer(name, f.headed(map[string]any{name: value}), authz.TokenUnsupported)
	}
	return []vector{
		bearer("signed with the key in jwk", embedded, authz.TokenUnsupported),
		refused("jwk", f.keysByID["es256"].JWK()),
		refused("jku", "https://evil.example/jwks"),
		refused("x5u", "https://evil.example/cert"),
		refused("x5c", []any{"MIIB"}),
		valid("x5t, which brings no key", f.headed(map[string]any{"x5t": "dGh1bWI"})),
	}
}

func (f *forge) kid() []vector {
	with := func(kid any) string { return f.headed(map[string]any{"kid": kid}) }
	bad := func(name string, kid any) vector { return bearer(name, with(kid), authz.TokenMalformed) }
	unknown := func(name string, kid any) vector { return bearer(name, with(kid), authz.TokenKeyUnknown) }
	workload := func(header map[string]any) map[string][]string {
		text, err := f.keysByID["workload"].Sign(header, workloadClaims(nil))
		f.fail(err)
		return map[string][]string{"x-workload-token": {text}}
	}
	bare := func(key string, header map[string]any) map[string][]string {
		return map[string][]string{"x-bare-token": {f.sign(key, header, map[string]any{"iss": bareIssuer})}}
	}
	return []vector{
		headers("any, and the issuer's one key has none", bare("eddsa", nil), authz.Allowed, "bare"),
		headers("absent, and the issuer's one key has none", bare("eddsa", map[string]any{"kid": nil}), authz.Allowed, "bare"),
		headers("another algorithm, and the issuer's one key has no kid", bare("es256", nil), authz.TokenKeyUnknown),
		headers("another key, and the issuer's one key has no kid", bare("rfc9864", nil), authz.TokenSignature),
		unknown("absent, and the issuer has several keys", nil),
		headers("absent, and the issuer has one key", workload(map[string]any{"kid": nil}), authz.Allowed, "workload"),
		headers("another, and the issuer has one key", workload(map[string]any{"kid": "other"}), authz.TokenKeyUnknown),
		unknown("of no key", "none-such"),
		unknown("in another case", "ES256"),
		unknown("of another issuer's key", "workload"),
		unknown("a path", "../../../../dev/null"),
		unknown("a URL", "https://evil.example/key"),
		unknown("a query", "x'--"),
		bearer("of another key of the issuer", f.sign("es256", map[string]any{"kid": "eddsa"}, nil), authz.TokenKeyUnknown),
		bad("empty", ""),
		bad("a space", "es256 "),
		bad("a control byte", "es256\n"),
		bad("beyond ASCII", "schlüssel"),
		bad("129 bytes", strings.Repeat("k", 129)),
		unknown("128 bytes", strings.Repeat("k", 128)),
		bad("a number", 1),
		bad("an array", []any{"es256"}),
		bearer("null", f.raw(`{"alg":"ES256","kid":null}`, f.claimsText()), authz.TokenMalformed),
	}
}

func (f *forge) typ() []vector {
	with := func(typ any) string { return f.headed(map[string]any{"typ": typ}) }
	refused := func(name string, typ any) vector { return bearer(name, with(typ), authz.TokenUnsupported) }
	access := func(typ string) string {
		text, err := f.keysByID["es256"].Sign(map[string]any{"typ": typ}, profile(nil))
		f.fail(err)
		return text
	}
	idToken := func(claim string) vector {
		return bearer("an ID token, by "+claim, f.good(map[string]any{claim: "x"}), authz.TokenUnsupported)
	}
	return []vector{
		valid("absent", with(nil)), valid("JWT", with("JWT")), valid("jwt", with("jwt")), valid("application/jwt", with("application/jwt")),
		valid("at+jwt", access("at+jwt")), valid("application/at+jwt", access("application/at+jwt")), valid("AT+JWT", access("AT+JWT")),
		refused("DPoP proof", "dpop+jwt"), refused("logout token", "logout+jwt"), refused("security event", "secevent+jwt"),
		refused("JOSE", "JOSE"), refused("transaction token", "txntoken+jwt"), refused("two types", "application/at+jwt/x"), refused("id+jwt", "id+jwt"),
		bearer("empty", with(""), authz.TokenMalformed), bearer("a number", with(1), authz.TokenMalformed),
		bearer("null", f.raw(`{"alg":"ES256","kid":"es256","typ":null}`, f.claimsText()), authz.TokenMalformed),
		idToken("nonce"), idToken("at_hash"), idToken("c_hash"), idToken("s_hash"),
		bearer("a logout token without typ", f.good(map[string]any{"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}), authz.TokenUnsupported),
		bearer("bound by cnf", f.good(map[string]any{"cnf": map[string]any{"jkt": "x"}}), authz.TokenBinding),
		bearer("JWT where the rule takes at+jwt", f.partnerAs("JWT"), authz.TokenUnsupported),
		bearer("absent where the rule takes at+jwt", f.partnerAs(nil), authz.TokenUnsupported),
	}
}

func (f *forge) partnerAs(typ any) string {
	text, err := f.keysByID["partner"].Sign(map[string]any{"typ": typ}, profile(map[string]any{"iss": partnerIssuer}))
	f.fail(err)
	return text
}

func (f *forge) nested() []vector {
	inner := f.good(nil)
	return []vector{
		bearer("with cty", f.raw(`{"alg":"ES256","kid":"es256","cty":"JWT"}`, inner), authz.TokenUnsupported),
		bearer("with cty and claims", f.headed(map[string]any{"cty": "application/jwt"}), authz.TokenUnsupported),
		bearer("without cty", f.payload(inner), authz.TokenMalformed),
		bearer("cty a number", f.headed(map[string]any{"cty": 1}), authz.TokenMalformed),
		valid("cty of claims", f.headed(map[string]any{"cty": "json"})),
	}
}

func (f *forge) headerMembers() []vector {
	bad := func(name, header string) vector {
		return bearer(name, f.raw(header, f.claimsText()), authz.TokenMalformed)
	}
	return []vector{
		bad("alg twice", `{"alg":"none","alg":"ES256","kid":"es256"}`),
		bad("alg twice, escaped", `{"alg":"none","\u0061lg":"ES256","kid":"es256"}`),
		bad("kid twice", `{"alg":"ES256","kid":"evil","kid":"es256"}`),
		bad("the same twice", `{"alg":"ES256","kid":"es256","typ":"JWT","typ":"JWT"}`),
		bad("Alg beside alg", `{"Alg":"none","alg":"ES256","kid":"es256"}`),
		bad("KID alone", `{"alg":"ES256","KID":"es256"}`),
		bad("kid with a Kelvin sign", `{"alg":"ES256","\u212aid":"es256"}`),
		bad("CRIT", `{"alg":"ES256","kid":"es256","CRIT":["x"]}`),
		bad("twice in an unknown member", `{"alg":"ES256","kid":"es256","x":{"a":1,"a":2}}`),
		valid("unknown members", f.raw(`{"alg":"ES256","kid":"es256","x":{"a":1,"b":[null,true]}}`, f.claimsText())),
	}
}
