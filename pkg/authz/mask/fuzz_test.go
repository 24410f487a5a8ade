package mask_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// FuzzShapes puts a credential of any text into every shape, amid any other text.
func FuzzShapes(f *testing.F) {
	f.Add("hunter2hunter2", "see ", ", please")
	f.Add("A-_.~+/=0", "", "")
	f.Add("eyJhbGciOiJub25lIn0", "?a=b&c=", "&d=e")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		const token = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" // RFC 4648, section 5
		if len(secret) < 10 || strings.Trim(secret, token) != "" || strings.Contains(before+after+mask.Text+url.PathEscape(after)+url.QueryEscape(after), secret) {
			t.Skip("no credential, or it is in the text around it")
		}
		jwt := "eyJhbGciOiJIUzI1NiJ9." + base64.RawURLEncoding.EncodeToString([]byte(`{"jti":"`+secret+`"}`)) + "." + secret
		for shape, text := range map[string]string{
			"a JWT":          before + " " + jwt + " " + after,
			"an escaped one": before + "/" + strings.ReplaceAll(jwt, ".", "%2e") + "/" + after,
			"Bearer":         "Bearer " + secret,
			"amid a text":    before + " bearer 0" + secret + " " + after,
			"Basic":          "bAsIc " + secret + "==",
			"a URL":          before + " https://user:" + secret + "@example.org/" + url.PathEscape(after),
			"a query":        before + " /x?a=b&id_token=" + secret + "&c=" + url.QueryEscape(after),
			"a cookie":       before + "; sessionid=" + secret + "; " + after,
			"a private key":  before + " -----BEGIN RSA PRIVATE KEY----- " + secret + after,
			"a redirection":  "https://example.org/?next=" + url.QueryEscape("/cb?access_token="+secret) + "&x=" + url.QueryEscape(after),
		} {
			kept := mask.Free(text)
			if strings.Contains(kept, secret) {
				t.Errorf("%s: %q is recorded as %q", shape, text, kept)
			}
			if utf8.ValidString(text) && !utf8.ValidString(kept) {
				t.Errorf("%s: %q is cut within a character: %q", shape, text, kept)
			}
		}
	})
}
