# METADATA
# title: Patterns
# description: |
#   Patterns of paths and of principals, which are both segments between slashes:
#
#     *        one segment that is not empty
#     **       the rest, of which there may be none; only as the last segment
#     {claim}  one segment that is not empty; what it must equal is for the caller to say
#
#   Any other segment stands for itself.
package sallyport.pattern

# METADATA
# description: a pattern whose wildcards are whole segments, and whose `**` is the last one
well_formed(parts) if {
	every part in parts {
		_known(part)
	}
	not "**" in array.slice(parts, 0, count(parts) - 1)
}

# METADATA
# description: the pattern, which is well formed, covers the segments
matches(parts, segments) if parts == segments

matches(parts, segments) if {
	last := count(parts) - 1
	parts[last] == "**"
	_cover(array.slice(parts, 0, last), array.slice(segments, 0, last))
}

matches(parts, segments) if {
	count(parts) == count(segments)
	_cover(parts, segments)
}

# METADATA
# description: one of the patterns covers the principal, which has segments but no claims
covers_principal(patterns, principal) if {
	some text in patterns
	principal_well_formed(text)
	matches(split(text, "/"), split(principal, "/"))
}

# METADATA
# description: a well-formed pattern without claims
principal_well_formed(text) if {
	is_string(text)
	text != ""
	parts := split(text, "/")
	well_formed(parts)
	every part in parts {
		not claim(part)
	}
}

# METADATA
# description: the claim that a segment of a pattern names
claim(part) := substring(part, 1, count(part) - 2) if {
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

_known(part) if not regex.match(`[*{}]`, part)
