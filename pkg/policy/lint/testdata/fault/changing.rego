package envoy.authz

default allow := false

allow if {
	input.tokens.users.status == "valid"
	open
	rand.intn("x", 10) > 5 # want: non-deterministic
	http.send({"method": "GET", "url": "https://example.com/"}).status_code == 200 # want: non-deterministic
}

open if time.clock(time.now_ns())[0] > 8 # want: non-deterministic
