package policy_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

// peerRules are in the manner of policies written for opa-envoy-plugin: Rego v0, the request under
// an imported name, the token verified in Rego, an object as the answer.
const peerRules = `import input.attributes.request.http as http_request

default allow = {"allowed": false, "headers": {"x-ext-auth-allow": "no"}, "body": "Unauthorized", "http_status": 401}

allow = response {
	is_token_valid
	action_allowed
	response := {
		"allowed": true,
		"headers": {"x-ext-auth-allow": "yes", "x-user": token.payload.sub},
		"response_headers_to_add": {"x-seen": "yes"},
		"request_headers_to_remove": ["authorization"],
	}
}

bearer_token = t {
	v := http_request.headers.authorization
	startswith(v, "Bearer ")
	t := substring(v, count("Bearer "), -1)
}

is_token_valid { io.jwt.verify_hs256(bearer_token, "peer-secret") }

token = {"payload": payload} { [_, payload, _] := io.jwt.decode(bearer_token) }

action_allowed {
	http_request.method == "GET"
	glob.match("/people/*", ["/"], http_request.path)
}

action_allowed {
	http_request.method == "POST"
	input.parsed_path == ["people"]
	input.parsed_body.firstname != token.payload.sub
}
`

// hs256 signs claims as the policy's issuer would.
func hs256(claims string) string {
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte("peer-secret"))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestPeerPolicy(t *testing.T) {
	allowed := authz.Decision{
		Allowed: true,
		Reason:  authz.Allowed,
		Upstream: authz.Mutation{
			SetHeaders:    []authz.Header{{Name: "x-ext-auth-allow", Value: "yes"}, {Name: "x-user", Value: "ann"}},
			RemoveHeaders: []string{"authorization"},
		},
		Response: []authz.Header{{Name: "x-seen", Value: "yes"}},
	}
	denied := authz.Decision{
		Reason: authz.PolicyDenied,
		Status: 401,
		Body:   "Unauthorized",
		Denial: []authz.Header{{Name: "x-ext-auth-allow", Value: "no"}},
	}
	good := "Bearer " + hs256(`{"sub": "ann"}`)
	tests := []struct {
		name, method, path, body, authorization string
		want                                    authz.Decision
	}{
		{name: "a good token", method: "GET", path: "/people/1", authorization: good, want: allowed},
		{name: "a body that is allowed", method: "POST", path: "/people", body: `{"firstname": "bob"}`, authorization: good, want: allowed},
		{name: "a body that is not", method: "POST", path: "/people", body: `{"firstname": "ann"}`, authorization: good, want: denied},
		{name: "another path", method: "GET", path: "/people/1/pay", authorization: good, want: denied},
		{name: "another method", method: "DELETE", path: "/people/1", authorization: good, want: denied},
		{name: "another signature", method: "GET", path: "/people/1", authorization: good + "A", want: denied},
		{name: "no token", method: "GET", path: "/people/1", want: denied},
	}
	e := engine(t, peerRules)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := get(t, tt.path)
			req.HTTP.Method, req.HTTP.Body = tt.method, tt.body
			req.HTTP.Headers["content-type"] = []string{"application/json"}
			if tt.authorization != "" {
				req.HTTP.Headers["authorization"] = []string{tt.authorization}
			}
			got, err := e.Decide(t.Context(), req, authz.Identity{})
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Revision, tt.want.Entrypoint = e.Revision(), "data.envoy.authz.allow"
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}
