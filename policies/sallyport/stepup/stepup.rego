# METADATA
# title: Step-up
# description: |
#   How strongly and how recently the user authenticated: the claims `acr` and `auth_time` of OpenID
#   Connect Core, section 2, which RFC 9068, section 2.2.1, has in access tokens too. A denial that has
#   `acr_values` or `max_age` asks the caller for more (RFC 9470).
# custom: {library: true}
package sallyport.stepup

# METADATA
# title: stepup.acr(claims, wanted)
# description: The user authenticated in one of these ways. One may stand without a list.
# custom:
#   examples:
#     - {call: 'stepup.acr({"acr": "phr"}, ["phr", "phrh"])', gives: 'true'}
#     - {call: 'stepup.acr({"acr": "0"}, "phr")', gives: undefined}
#     - {call: 'stepup.acr({}, ["phr"])', gives: undefined}
acr(claims, wanted) if claims.acr in acr_values(wanted)

# METADATA
# title: stepup.acr_values(wanted)
# description: |
#   The ways as a list, for `acr_values` in a denial. Undefined unless each is of the letters that a
#   challenge can carry, without spaces.
# custom:
#   examples:
#     - {call: 'stepup.acr_values("phr")', gives: '["phr"]'}
#     - {call: 'stepup.acr_values(["phr", "two words"])', gives: undefined}
acr_values(wanted) := [wanted] if _is_acr(wanted)

acr_values(wanted) := wanted if {
	is_array(wanted)
	count(wanted) > 0
	every value in wanted {
		_is_acr(value)
	}
}

# METADATA
# title: stepup.fresh(claims, max_age, at)
# description: |
#   At the time, `input.attributes.request.time`, the user's last authentication is no older than this: a
#   duration such as "15m", or seconds. An `auth_time` more than 30 seconds ahead, which no difference
#   of clocks explains, is not believed.
# custom:
#   examples:
#     - {call: 'stepup.fresh({"auth_time": 1700000000}, "15m", {"seconds": 1700000900})', gives: 'true'}
#     - {call: 'stepup.fresh({"auth_time": 1700000000}, 900, {"seconds": 1700000901})', gives: undefined}
#     - {call: 'stepup.fresh({}, "15m", {"seconds": 1700000900})', gives: undefined}
fresh(claims, max_age, at) if {
	is_number(claims.auth_time)
	is_number(at.seconds)
	age := at.seconds - claims.auth_time
	age >= -30
	age <= seconds(max_age)
}

# METADATA
# title: stepup.seconds(max_age)
# description: |
#   The seconds of such an age, for `max_age` in a denial. Undefined unless they are whole, and more than
#   0: nobody is as fresh as that.
# custom:
#   examples:
#     - {call: 'stepup.seconds("1h30m")', gives: '5400'}
#     - {call: 'stepup.seconds(900)', gives: '900'}
#     - {call: 'stepup.seconds("15 minutes")', gives: undefined}
#     - {call: 'stepup.seconds(0)', gives: undefined}
seconds(max_age) := whole if {
	is_number(max_age)
	whole := floor(max_age)
	whole == max_age
	_in_reach(whole)
}

seconds(max_age) := whole if {
	is_string(max_age)

	# No more digits than nanoseconds have room for: what does not fit is an error of the builtin.
	regex.match(`^([0-9]{1,5}h)?([0-9]{1,7}m)?([0-9]{1,9}s)?$`, max_age)
	max_age != ""
	whole := time.parse_duration_ns(max_age) / 1000000000
	_in_reach(whole)
}

# Thirty years are as good as for ever.
_in_reach(whole) if {
	whole > 0
	whole <= 1000000000
}

_is_acr(value) if {
	is_string(value)
	regex.match(`^[\x21\x23-\x5b\x5d-\x7e]+$`, value)
}
