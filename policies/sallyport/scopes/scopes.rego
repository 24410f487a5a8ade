# METADATA
# title: Scopes
# description: |
#   What a token was granted. The claim is `scope`, a string (RFC 8693, section 4.2), or `scp`, a
#   string or a list, as Microsoft and Okta have it.
# custom: {library: true}
package sallyport.scopes

import data.sallyport.values

# METADATA
# title: scopes.granted(claims)
# description: The scopes of a token, as a set. Empty where the token has none.
# custom:
#   examples:
#     - {call: 'scopes.granted({"scope": "orders:read orders:write"})', gives: '{"orders:read", "orders:write"}'}
#     - {call: 'scopes.granted({"scp": ["orders:read"]})', gives: '{"orders:read"}'}
granted(claims) := {scope |
	some key in ["scope", "scp"]
	some scope in _words(claims[key])
}

# METADATA
# title: scopes.all(claims, wanted)
# description: The token has all of the scopes.
# custom:
#   examples:
#     - {call: 'scopes.all({"scope": "orders:read orders:write"}, ["orders:read"])', gives: 'true'}
#     - {call: 'scopes.all({"scope": "orders:read"}, ["orders:read", "orders:write"])', gives: undefined}
#     - {call: 'scopes.all({"scope": "orders:read"}, [])', gives: undefined}
all(claims, wanted) if count(lacking(claims, wanted)) == 0

# METADATA
# title: scopes.any(claims, wanted)
# description: The token has at least one of the scopes.
# custom:
#   examples:
#     - {call: 'scopes.any({"scope": "orders:read"}, ["orders:read", "orders:write"])', gives: 'true'}
#     - {call: 'scopes.any({}, ["orders:read"])', gives: undefined}
any(claims, wanted) if count(values.words(wanted) & granted(claims)) > 0

# METADATA
# title: scopes.lacking(claims, wanted)
# description: |
#   The scopes that the token lacks. As `scopes` in a denial they tell the caller what to ask for (RFC
#   6750, insufficient_scope).
# custom:
#   examples:
#     - {call: 'scopes.lacking({"scope": "orders:read"}, ["orders:read", "orders:write"])', gives: '{"orders:write"}'}
lacking(claims, wanted) := values.words(wanted) - granted(claims)

_words(value) := split(value, " ") if is_string(value)

_words(value) := value if is_array(value)
