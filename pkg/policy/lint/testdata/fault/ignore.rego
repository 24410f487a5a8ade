package envoy.authz

default allow := false

# sallyport:ignore deny-undefined there is none of it here # want: unused-ignore
allow if input.tokens.users.status == "valid"

# sallyport:ignore no-such-rule because # want: bad-ignore
allow if not input.parsed_body.admin # want: negated-undefined

# want+1: bad-ignore
# sallyport:ignore negated-undefined
allow if not input.parsed_body.root # want: negated-undefined
