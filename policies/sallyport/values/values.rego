# METADATA
# title: Values
# description: |
#   What rules and claims are written in: a value, or a list of values. The other packages are made
#   of these.
# custom: {library: true}
package sallyport.values

# METADATA
# title: values.words(list)
# description: |
#   The words of a list or a set. Undefined unless there are some, each a string and none empty: what
#   wants nothing must not be met by everybody.
# custom:
#   examples:
#     - {call: 'values.words(["read", "write", "read"])', gives: '{"read", "write"}'}
#     - {call: 'values.words([])', gives: undefined}
#     - {call: 'values.words("read")', gives: undefined}
words(list) := {word | some word in list} if {
	_is_list(list)
	count(list) > 0
	every word in list {
		is_string(word)
		word != ""
	}
}

# METADATA
# title: values.items(value)
# description: The items of a list, and of anything else the value itself.
# custom:
#   examples:
#     - {call: 'values.items(["a", "b"])', gives: '["a", "b"]'}
#     - {call: 'values.items("a")', gives: '["a"]'}
items(value) := value if is_array(value)

items(value) := [value] if not is_array(value)

_is_list(list) if is_array(list)

_is_list(list) if is_set(list)
