package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/policy"
)

func post(t testing.TB, contentType, body string) *authz.Request {
	t.Helper()
	req := get(t, "/")
	req.HTTP.Method = "POST"
	req.HTTP.Body = body
	if contentType != "" {
		req.HTTP.Headers["content-type"] = []string{contentType}
	}
	return req
}

const multipartType = `multipart/form-data; boundary=b`

// part writes one part of a multipart body.
func part(disposition, contentType, body string) string {
	text := "--b\r\nContent-Disposition: form-data" + disposition + "\r\n"
	if contentType != "" {
		text += "Content-Type: " + contentType + "\r\n"
	}
	return text + "\r\n" + body + "\r\n"
}

func TestBody(t *testing.T) {
	type object = map[string]any
	tests := []struct {
		name          string
		contentType   string
		headers       map[string]string
		body, raw     string
		full          bool
		want          any
		wantTruncated bool
	}{
		{name: "none", contentType: "application/json"},
		{name: "none, and a length", contentType: "application/json", headers: map[string]string{"content-length": "10"}},
		{name: "without a type", body: `{"a": 1}`},
		{name: "of another type", contentType: "text/plain", body: `{"a": 1}`},
		{name: "gRPC", contentType: "application/grpc", raw: "\x00\x00\x00\x00\x00"},
		{name: "JSON", contentType: "application/json", body: `{"a": [1, "b", null, true, {}]}`, want: object{"a": []any{1.0, "b", nil, true, object{}}}},
		{name: "JSON that is no object", contentType: "application/json", body: ` "text" `, want: "text"},
		{name: "null", contentType: "application/json", body: `null`},
		{name: "raw", contentType: "application/json", raw: `{"a": 1}`, want: object{"a": 1.0}},
		{name: "raw beside text", contentType: "application/json", body: `{"a": 1}`, raw: `{"a": 2}`, want: object{"a": 1.0}},
		{name: "type of another case", contentType: "Application/JSON; charset=UTF-8", body: `1`, want: 1.0},
		{name: "type with a suffix", contentType: "application/vnd.api+json", body: `1`, want: 1.0},
		{name: "type with a broken parameter", contentType: "application/json; charset", body: `1`, want: 1.0},
		{name: "type that only holds the word", contentType: "text/plain; was=application/json", body: `{`},
		{name: "whole length", contentType: "application/json", headers: map[string]string{"content-length": "1"}, body: `1`, want: 1.0},
		{name: "shorter length", contentType: "application/json", headers: map[string]string{"content-length": "0"}, body: `1`, want: 1.0},
		{name: "longer length", contentType: "application/json", headers: map[string]string{"content-length": "2"}, body: `1`, wantTruncated: true},
		{name: "Envoy says it is a part", contentType: "application/json", headers: map[string]string{"x-envoy-auth-partial-body": "true"}, body: `1`, wantTruncated: true},
		{name: "Envoy says it is whole", contentType: "application/json", headers: map[string]string{"x-envoy-auth-partial-body": "false"}, body: `1`, want: 1.0},
		{name: "fills the limit, without a length", contentType: "application/json", body: `1`, full: true, wantTruncated: true},
		{name: "fills the limit, whole length", contentType: "application/json", headers: map[string]string{"content-length": "1"}, body: `1`, full: true, want: 1.0},
		{name: "a part of a form", contentType: "application/x-www-form-urlencoded", headers: map[string]string{"content-length": "9"}, body: `a=1`, wantTruncated: true},
		{name: "form", contentType: "application/x-www-form-urlencoded", body: `a=1&b=x+y&a=%26`, want: object{"a": []any{"1", "&"}, "b": []any{"x y"}}},
		{
			name:        "multipart",
			contentType: multipartType,
			body: part(`; name="a"`, "", "1") + part(`; name="a"`, "text/plain", "2") + part(`; name="j"`, "application/JSON", `{"x": 1}`) +
				part(`; name="f"; filename="f.bin"`, "application/octet-stream", "\xff") + part("", "", "nameless") + "--b--",
			want: object{"a": []any{"1", "2"}, "j": []any{object{"x": 1.0}}, "f": []any{nil}},
		},
		{name: "multipart without a boundary", contentType: "multipart/form-data", body: "--b--"},
	}
	e := engine(t, showInput)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := post(t, tt.contentType, tt.body)
			req.HTTP.RawBody, req.HTTP.BodyFull = []byte(tt.raw), tt.full
			for name, value := range tt.headers {
				req.HTTP.Headers[name] = []string{value}
			}
			if strings.Contains(tt.body, "\xff") { // Envoy sends bytes only as raw_body
				req.HTTP.Body, req.HTTP.RawBody = "", []byte(tt.body)
			}
			wantBody(t, e, req, tt.want, tt.wantTruncated)
		})
	}
}

// wantBody asks what policy sees of a request's body.
func wantBody(t *testing.T, e *policy.Engine, req *authz.Request, want any, truncated bool) {
	t.Helper()
	got, err := input(t, e, req, authz.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got["parsed_body"]); diff != "" {
		t.Errorf("parsed_body (-want +got):\n%s", diff)
	}
	if got["truncated_body"] != truncated {
		t.Errorf("truncated_body %v, want %v", got["truncated_body"], truncated)
	}
}

func TestBodyRefused(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name        string
		contentType string
		length      string
		body        string
		wantReason  authz.Reason
		wantText    string
	}{
		{name: "no JSON", contentType: "application/json", body: `{"a": secret}`, wantText: "not JSON"},
		{name: "two values", contentType: "application/json", body: `1 2`, wantText: "not JSON"},
		{name: "half an object", contentType: "application/problem+json", body: `{"a": 1`, wantText: "not JSON"},
		{name: "spaces alone", contentType: "application/json", body: ` `, wantText: "not JSON"},
		{name: "not JSON by the other name", contentType: "text/json", body: `x`, wantText: "not JSON"},
		{name: "a member twice", contentType: "application/json", body: `{"amount": 1, "amount": 1000000}`, wantText: "a JSON member comes twice"},
		{name: "a member twice, escaped", contentType: "application/json", body: `{"a": 1, "\u0061": 2}`, wantText: "a JSON member comes twice"},
		{name: "a member twice, deep", contentType: "application/json", body: `[{"b": [{"a": 1, "a": 2}]}]`, wantText: "a JSON member comes twice"},
		{name: "JSON that is not UTF-8", contentType: "application/json", body: "\"\xff\"", wantText: "bytes that are not UTF-8"},
		{name: "a number without end", contentType: "application/json", body: `{"a": 1e999999999}`, wantText: "a number out of range"},
		{name: "a number with too many digits", contentType: "application/json", body: "[0." + strings.Repeat("1", 400) + "]", wantText: "a number out of range"},
		{name: "JSON nested without end", contentType: "application/json", body: strings.Repeat("[", 20000) + strings.Repeat("]", 20000), wantText: "not JSON"},
		{name: "a bad escape in a form", contentType: form, body: `a=%zz`, wantText: "a bad escape or a semicolon in the form"},
		{name: "a semicolon in a form", contentType: form, body: `a=1;b=2`, wantText: "a bad escape or a semicolon in the form"},
		{name: "a form that is not UTF-8", contentType: form, body: `a=%ff`, wantText: "bytes that are not UTF-8"},
		{name: "a form's name that is not UTF-8", contentType: form, body: `%ff=a`, wantText: "bytes that are not UTF-8"},
		{name: "two types", contentType: "application/json,text/plain", body: `1`, wantText: "the content type cannot be read"},
		{name: "no type", contentType: "/", body: `1`, wantText: "the content type cannot be read"},
		{name: "multipart that ends early", contentType: multipartType, body: part(`; name="a"`, "", "1"), wantText: "the multipart form is broken"},
		{name: "multipart that ends in a part's header", contentType: multipartType, body: "--b\r\n", wantText: "the multipart form is broken"},
		{name: "multipart without parts", contentType: multipartType, body: "x", wantText: "the multipart form is broken"},
		{name: "multipart with bad JSON", contentType: multipartType, body: part(`; name="a"`, "application/json", "{") + "--b--", wantText: "not JSON"},
		{name: "a field that is not UTF-8", contentType: multipartType, body: part(`; name="a"`, "", "\xff") + "--b--", wantText: "bytes that are not UTF-8"},
		{name: "a field's name that is not UTF-8", contentType: multipartType, body: part("; name=\"\xff\"", "", "a") + "--b--", wantText: "bytes that are not UTF-8"},
		{name: "a length that is no number", length: "ten", wantReason: authz.MalformedRequest, wantText: "the content-length is no number"},
		{name: "two lengths", length: "1,2", wantReason: authz.MalformedRequest, wantText: "the content-length is no number"},
		{name: "a signed length", length: "+1", wantReason: authz.MalformedRequest, wantText: "the content-length is no number"},
		{name: "a length without end", length: strings.Repeat("9", 30), wantReason: authz.MalformedRequest, wantText: "the content-length is no number"},
	}
	e := engine(t, "allow := true")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.wantReason == "" {
				tt.wantReason = authz.BodyMalformed
			}
			req := post(t, tt.contentType, "")
			req.HTTP.RawBody = []byte(tt.body)
			if tt.length != "" {
				req.HTTP.Headers["content-length"] = []string{tt.length}
			}
			d, err := e.Decide(t.Context(), req, authz.Identity{})
			if err == nil {
				t.Fatalf("got %+v, want a refusal", d)
			}
			if reason := authz.ReasonOf(err); reason != tt.wantReason {
				t.Errorf("reason %q, want %q", reason, tt.wantReason)
			}
			if want := "policy: read body: " + tt.wantText; err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
		})
	}
}

// FuzzBody compares what policy sees of a JSON body with what encoding/json makes of it.
func FuzzBody(f *testing.F) {
	for _, contentType := range []string{"application/json", "application/x-www-form-urlencoded", multipartType} {
		for _, body := range []string{`{"a": [1, 1e5, "\ud800"]}`, `a=1&b=%20`, part(`; name="a"`, "application/json", "{}") + "--b--", `{"a":1,"a":2}`} {
			f.Add(contentType, []byte(body))
		}
	}
	e := engine(f, showInput)
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		req := post(t, contentType, "")
		req.HTTP.RawBody = body
		got, err := input(t, e, req, authz.Identity{})
		if err != nil {
			reason := authz.ReasonOf(err)
			if reason != authz.BodyMalformed && reason != authz.PolicyAnswerInvalid { // too deep, or a type that is not UTF-8
				t.Errorf("reason %q of %v", reason, err)
			}
			return
		}
		if contentType != "application/json" || len(body) == 0 {
			return
		}
		var want any
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("accepted what is no JSON: %v", err)
		}
		if diff := cmp.Diff(want, got["parsed_body"]); diff != "" {
			t.Errorf("parsed_body (-want +got):\n%s", diff)
		}
	})
}
