# METADATA
# title: Hours
# description: |
#   Time windows, with the names of Prometheus' time intervals:
#
#       {"weekdays": ["monday:friday"], "start_time": "08:00", "end_time": "18:00", "location": "Europe/Zurich"}
#
#   Without weekdays it is every day, without times the whole day. The window ends before `end_time`,
#   which may be 24:00, and does not cross midnight: write two. The location, a name of the IANA time
#   zone database, is required; UTC is one.
#
#   The time is `input.attributes.request.time`, an object with `seconds` since 1970: Envoy's clock,
#   when the request began. It is not the client's, every rule sees the same, and with it a decision
#   depends on input and data alone. A caller that sends none is outside of nothing and within nothing.
# custom: {library: true}
package sallyport.hours

# METADATA
# title: hours.within(at, windows)
# description: |
#   The time lies within one of the windows. A window that is not well formed holds no time. A location
#   that does not exist is an error, which denies.
# custom:
#   examples:
#     - call: 'hours.within({"seconds": 1700040600}, [{"weekdays": ["monday:friday"], "start_time": "08:00", "end_time": "18:00", "location": "Europe/Zurich"}])'
#       gives: 'true'
#     - call: 'hours.within({"seconds": 1700040600}, [{"weekdays": ["saturday", "sunday"], "location": "Europe/Zurich"}])'
#       gives: undefined
#     - {call: 'hours.within({}, [{"location": "UTC"}])', gives: undefined}
within(at, windows) if {
	some window in windows
	_holds(window, _local(at, window))
}

# METADATA
# title: hours.outside(at, windows)
# description: |
#   The time is known, the windows are well formed, and it lies in none of them. To be used instead of
#   `not hours.within(…)`, which holds where the time or the windows are no good, too.
# custom:
#   examples:
#     - {call: 'hours.outside({"seconds": 1700040600}, [{"weekdays": ["saturday", "sunday"], "location": "Europe/Zurich"}])', gives: 'true'}
#     - {call: 'hours.outside({}, [{"weekdays": ["saturday", "sunday"], "location": "Europe/Zurich"}])', gives: undefined}
outside(at, windows) if {
	is_array(windows)
	count(windows) > 0
	every window in windows {
		local := _local(at, window)
		not _holds(window, local)
	}
}

# METADATA
# title: hours.well_formed(window)
# description: A window with nothing but what stands above.
# custom:
#   examples:
#     - {call: 'hours.well_formed({"start_time": "22:00", "end_time": "24:00", "location": "UTC"})', gives: 'true'}
#     - {call: 'hours.well_formed({"start_time": "22:00", "end_time": "06:00", "location": "UTC"})', gives: undefined}
#     - {call: 'hours.well_formed({"start_time": "22:00", "end_time": "24:00"})', gives: undefined}
well_formed(window) if {
	is_object(window)
	count(object.keys(window) - {"weekdays", "start_time", "end_time", "location"}) == 0
	_is_location(window.location)
	count(_days(window)) > 0
	_minute(object.get(window, "start_time", "00:00")) < _minute(object.get(window, "end_time", "24:00"))
}

_weekdays := ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

# "" and "Local" are what the machine is set to, to those who read them.
_is_location(name) if {
	is_string(name)
	not name in {"", "Local"}
}

# The time as a clock at the window's place shows it.
_local(at, window) := {"day": day, "minute": (hour * 60) + minute} if {
	well_formed(window)
	nanoseconds := _nanoseconds(at)
	day := lower(time.weekday([nanoseconds, window.location]))
	[hour, minute, _] = time.clock([nanoseconds, window.location])
}

# Beyond the year 2262 nanoseconds do not fit, which would be an error.
_nanoseconds(at) := floor(at.seconds) * 1000000000 if {
	is_number(at.seconds)
	at.seconds > 0
	at.seconds < 9223372036
}

_holds(window, local) if {
	local.day in _days(window)
	_minute(object.get(window, "start_time", "00:00")) <= local.minute
	local.minute < _minute(object.get(window, "end_time", "24:00"))
}

# The days of a window, each name of which is a day or a range of days.
_days(window) := {day | some day in _weekdays} if not "weekdays" in object.keys(window)

_days(window) := {day | some name in window.weekdays; some day in _range(name)} if {
	is_array(window.weekdays)
	every name in window.weekdays {
		_range(name)
	}
}

_range(name) := [name] if name in _weekdays

_range(name) := array.slice(_weekdays, first, last + 1) if {
	is_string(name)
	[from, to] = split(name, ":")
	some first, last
	_weekdays[first] == from
	_weekdays[last] == to
	first <= last
}

_minute("24:00") := 1440

_minute(text) := (to_number(hour) * 60) + to_number(minute) if {
	is_string(text)
	regex.match(`^([01][0-9]|2[0-3]):[0-5][0-9]$`, text)
	[hour, minute] = split(text, ":")
}
