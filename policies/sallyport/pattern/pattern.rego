# METADATA
# title: Patterns
# description: |
#   Patterns of paths and of principals, which are both segments between slashes:
#
#       *        one segment that is not empty
#       **       the rest, of which there may be none; only as the last segment
#       {claim}  one segment that is not empty; what it must equal is for the caller to say
#
#   Any other segment stands for itself. A path is `input.parsed_path`, and to be trusted only where
#   `input.path_ambiguous` is false.
# custom: {library: true}
package sallyport.pattern

# METADATA
# title: pattern.covers(text, path)
# description: The pattern is well formed and covers the path.
# custom:
#   examples:
#     - {call: 'pattern.covers("/orders/*/items/**", ["orders", "7", "items"])', gives: 'true'}
#     - {call: 'pattern.covers("/orders/*", ["orders", "7", "items"])', gives: undefined}
#     - {call: 'pattern.covers("/order*", ["orders"])', gives: undefined}
covers(text, path) if matches(parse(text), path)

# METADATA
# title: pattern.captured(text, path)
# description: |
#   The segments that stand for the names in the pattern, by name. Undefined where the pattern does not
#   cover the path, and where a name stands twice for segments that differ.
# custom:
#   examples:
#     - {call: 'pattern.captured("/users/{sub}/**", ["users", "ann", "mail"])', gives: '{"sub": "ann"}'}
#     - {call: 'pattern.captured("/users/{sub}/friends/{sub}", ["users", "ann", "friends", "bob"])', gives: undefined}
captured(text, path) := {name: segment | some [name, segment] in pairs} if {
	parts := parse(text)
	matches(parts, path)
	pairs := {[name, path[place]] |
		some place, part in parts
		name := claim(part)
	}
	count(pairs) == count({name | some [name, _] in pairs})
}

# METADATA
# title: pattern.parse(text)
# description: The segments of a well-formed pattern of paths, which starts with a slash.
# custom:
#   examples:
#     - {call: 'pattern.parse("/orders/*")', gives: '["orders", "*"]'}
#     - {call: 'pattern.parse("orders/*")', gives: undefined}
#     - {call: 'pattern.parse("/**/items")', gives: undefined}
parse(text) := parts if {
	is_string(text)
	startswith(text, "/")
	parts := split(substring(text, 1, -1), "/")
	well_formed(parts)
}

# METADATA
# title: pattern.well_formed(parts)
# description: A pattern, as its segments, whose wildcards are whole segments, and whose `**` is the last one.
# custom:
#   examples:
#     - {call: 'pattern.well_formed(["orders", "*"])', gives: 'true'}
#     - {call: 'pattern.well_formed(["order*"])', gives: undefined}
well_formed(parts) if {
	is_array(parts)
	count(parts) > 0
	every part in parts {
		_known(part)
	}
	not "**" in array.slice(parts, 0, count(parts) - 1)
}

# METADATA
# title: pattern.matches(parts, segments)
# description: The pattern, as its segments, covers the segments. It must be well formed, which is not looked at here.
# custom:
#   examples:
#     - {call: 'pattern.matches(["orders", "*"], ["orders", "7"])', gives: 'true'}
#     - {call: 'pattern.matches(["orders", "*"], ["orders", ""])', gives: undefined}
matches(parts, segments) if {
	is_array(parts)
	parts == segments
}

matches(parts, segments) if {
	is_array(parts)
	is_array(segments)
	last := count(parts) - 1
	parts[last] == "**"
	_cover(array.slice(parts, 0, last), array.slice(segments, 0, last))
}

matches(parts, segments) if {
	is_array(parts)
	is_array(segments)
	count(parts) == count(segments)
	_cover(parts, segments)
}

# METADATA
# title: pattern.claim(part)
# description: The claim that a segment of a pattern names.
# custom:
#   examples:
#     - {call: 'pattern.claim("{sub}")', gives: '"sub"'}
#     - {call: 'pattern.claim("sub")', gives: undefined}
claim(part) := substring(part, 1, count(part) - 2) if {
	is_string(part)
	startswith(part, "{")
	regex.match(`^\{[^*{}]+\}$`, part)
}

# Every segment fits its part. Equal segments, most of them, are told without a look at each.
_cover(parts, segments) if parts == segments

_cover(parts, segments) if {
	count(parts) == count(segments)
	every i, part in parts {
		_fits(part, segments[i])
	}
}

_fits(part, segment) if part == segment

_fits("*", segment) if segment != ""

_fits(part, segment) if {
	startswith(part, "{")
	segment != ""
}

_known("*")

_known("**")

_known(part) if claim(part)

_known(part) if {
	is_string(part)
	not regex.match(`[*{}]`, part)
}
