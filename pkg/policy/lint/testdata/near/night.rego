package envoy.authz

default allow := false

allow if {
	input.tokens.users.status == "valid"
	# sallyport:ignore non-deterministic the shop is closed at night
	[hour, _, _] := time.clock(time.now_ns())
	hour >= 8
	time.weekday(time.now_ns()) != "Sunday" # sallyport:ignore non-deterministic and on Sundays
}
