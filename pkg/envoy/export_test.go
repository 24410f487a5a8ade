package envoy

import (
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Decode and Extract are the two readings, for the tests that compare them.
func Decode(text string, maxBodyBytes int) (*authz.Request, bool) { return decode(text, maxBodyBytes) }

func Extract(in *authv3.CheckRequest, maxBodyBytes int) *authz.Request {
	return extract(in, maxBodyBytes)
}
