package main

import (
	"crypto/elliptic"
	"fmt"
	"math/big"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
)

// shape is about the compact form, before anything in it is believed.
func (f *forge) shape() map[string][]vector {
	return map[string][]vector{
		"05-limits":             f.limits(),
		"06-segments":           f.segments(),
		"07-encryption":         f.encryption(),
		"08-whitespace":         f.whitespace(),
		"09-base64":             f.base64(),
		"10-header-bytes":       f.headerBytes(),
		"11-ecdsa-malleability": f.highS(),
	}
}

func (f *forge) limits() []vector {
	bad := func(name, text string) vector { return bearer(name, text, authz.TokenMalformed) }
	nested := func(n int) string { return `"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) }
	members := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"m%d":0`, i))
		}
		return strings.Join(list, ",")
	}
	return []vector{
		valid("large", f.good(map[string]any{"pad": strings.Repeat("x", 5000)})),
		bad("too large", f.good(map[string]any{"pad": strings.Repeat("x", 6200)})),
		bad("large header", f.headed(map[string]any{"x5t": strings.Repeat("x", 1000)})),
		bad("all dots", strings.Repeat(".", 8000)),
		bad("more dots than bytes allowed", strings.Repeat(".", 60<<10)),
		valid("16 deep", f.with(nested(15))),
		bad("17 deep", f.with(nested(16))),
		bad("thousands deep", f.with(nested(1500))),
		valid("256 members", f.with(members(251))),
		bad("257 members", f.with(members(252))),
		bad("257 members in an object below", f.with(`"o":{`+members(257)+"}")),
	}
}

func (f *forge) segments() []vector {
	t := f.good(nil)
	h, p, s := cut(t)
	bad := func(name, text string) vector { return bearer(name, text, authz.TokenMalformed) }
	return []vector{
		bad("one", h),
		bad("two", h+"."+p),
		bad("four", t+"."+s),
		bad("five", t+"."+s+"."+s),
		bad("a dot before", "."+t),
		bad("a dot after", t+"."),
		bad("empty header", "."+p+"."+s),
		bad("empty payload", h+".."+s),
		bad("empty signature", h+"."+p+"."),
		bad("two dots", ".."),
		bad("detached payload", h+".."+s),
		{
			Name: "JSON serialization, flattened", Want: authz.TokenMalformed,
			Path: "/?access_token=" + url.QueryEscape(fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, p, h, s)),
		},
		bad("JSON serialization in base64", encode([]byte(`{"payload":"`+p+`","signatures":[{"protected":"`+h+`","signature":"`+s+`"}]}`))),
		bad("header is no JSON", f.raw("alg=ES256", f.claimsText())),
		bad("header is an array", f.raw(`[{"alg":"ES256"}]`, f.claimsText())),
		bad("header is null", f.raw(`null`, f.claimsText())),
		bad("a header alone of two bytes", f.raw(`{}`, f.claimsText())),
	}
}

func (f *forge) encryption() []vector {
	h := encode([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}`))
	refused := func(name string, header map[string]any) vector {
		return bearer(name, f.headed(header), authz.TokenUnsupported)
	}
	return []vector{
		bearer("five segments", h+".a2V5.aXY.Y2lwaGVy.dGFn", authz.TokenMalformed),
		bearer("three segments", h+".a2V5.aXY", authz.TokenUnsupported),
		refused("enc", map[string]any{"enc": "A256GCM"}),
		refused("zip", map[string]any{"zip": "DEF"}),
		refused("p2c", map[string]any{"p2c": 1000000}),
		refused("epk", map[string]any{"epk": map[string]any{}}),
		refused("alg dir", map[string]any{"alg": "dir"}),
		refused("alg PBES2", map[string]any{"alg": "PBES2-HS256+A128KW"}),
	}
}

func (f *forge) whitespace() []vector {
	t := f.good(nil)
	h, p, s := cut(t)
	bad := func(name, text string) vector { return bearer(name, text, authz.TokenMalformed) }
	cookie := func(name, text string) vector {
		return headers(name, map[string][]string{"x-workload-token": {text}}, authz.TokenMalformed)
	}
	return []vector{
		bad("newline after", t+"\n"), bad("CRLF after", t+"\r\n"), bad("newline before", "\n"+t),
		bad("space after the header", h+" ."+p+"."+s), bad("space before the signature", h+"."+p+". "+s),
		cookie("space before, no prefix", " "+t), cookie("space after, no prefix", t+" "),
		cookie("a space alone, no prefix", " "),
	}
}

func (f *forge) base64() []vector {
	t := f.sign("rs256", nil, nil)
	h, p, s := cut(t)
	bad := func(name, text string) vector { return bearer(name, text, authz.TokenMalformed) }
	odd := encode([]byte(f.headerText() + strings.Repeat(" ", 3-(len(f.headerText())+2)%3))) // one byte more than a multiple of three
	middle := func(segment, inserted string) string { return segment[:8] + inserted + segment[8:] }
	return []vector{
		valid("as it should be", t),
		bad("padding after the signature", t+"=="),
		bad("padding after the header", h+"=."+p+"."+s),
		bad("padding after the payload", h+"."+p+"=."+s),
		bad("standard alphabet", h+"."+p+"."+strings.NewReplacer("-", "+", "_", "/").Replace(s)),
		bad("newline in the header", middle(h, "\n")+"."+p+"."+s),
		bad("newline in the payload", h+"."+middle(p, "\n")+"."+s),
		bad("carriage return in the signature", h+"."+p+"."+middle(s, "\r")),
		bad("bits behind the signature's last byte", h+"."+p+"."+loose(s)),
		bad("bits behind the header's last byte", loose(odd)+"."+p+"."+s),
		bad("one character too many", h+"."+p+"."+s+"AAA"),
	}
}

// loose sets an unused bit of a segment's last character.
func loose(segment string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, segment[len(segment)-1])
	return segment[:len(segment)-1] + string(alphabet[last|1])
}

func (f *forge) headerBytes() []vector {
	_, p, s := cut(f.raw(f.headerText(), f.claimsText()))
	with := func(header string) string { return encode([]byte(header)) + "." + p + "." + s }
	return []vector{
		bearer("an object behind, with the old signature", with(f.headerText()+`{"kid":"evil"}`), authz.TokenMalformed),
		bearer("bytes behind, with the old signature", with(f.headerText()+"junk"), authz.TokenMalformed),
		bearer("spaces before, with the old signature", with("  "+f.headerText()), authz.TokenSignature),
		bearer("a space within, with the old signature", with(strings.Replace(f.headerText(), ",", ", ", 1)), authz.TokenSignature),
		bearer("a member added, with the old signature", with(strings.Replace(f.headerText(), "{", `{"x":1,`, 1)), authz.TokenSignature),
		bearer("bytes behind, signed", f.raw(f.headerText()+"junk", f.claimsText()), authz.TokenMalformed),
		valid("spaces within, signed", f.raw(` { "alg" : "ES256",`+"\r\n"+` "kid":"es256" } `, f.claimsText())),
	}
}

// highS replaces s by n-s, which signs as well: nothing may be keyed by the text of an ECDSA token.
func (f *forge) highS() []vector {
	h, p, s := cut(f.good(nil))
	signature, err := f.keysByID["es256"].Signature(h + "." + p)
	f.fail(err)
	half := size(elliptic.P256())
	value := new(big.Int).SetBytes(signature[half:])
	value.Sub(elliptic.P256().Params().N, value).FillBytes(signature[half:])
	return []vector{
		valid("s as signed", h+"."+p+"."+s),
		valid("n-s", h+"."+p+"."+encode(signature)),
	}
}
