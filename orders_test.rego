package envoy.authz_test

import data.envoy.authz

test_denied if authz.allow == false
test_wrong if {
	authz.allow == true with input as {"parsed_path": ["orders"], "tokens": {"users": {"claims": {"roles": ["clerk"], "sub": "x"}}}}
}
