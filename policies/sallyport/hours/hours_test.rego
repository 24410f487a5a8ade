package sallyport.hours_test

import data.sallyport.hours

# Wednesday the 15th of November 2023, 10:30 in Zurich, 09:30 UTC.
wednesday := {"seconds": 1700040600, "nanos": 5}

office := {"weekdays": ["monday:friday"], "start_time": "08:00", "end_time": "18:00", "location": "Europe/Zurich"}

test_within[note] if {
	some note, window in {
		"the office": office,
		"always": {"location": "UTC"},
		"the day": {"weekdays": ["saturday", "wednesday"], "location": "UTC"},
		"a range of a day": {"weekdays": ["wednesday:wednesday"], "location": "UTC"},
		"from its first minute": {"start_time": "10:30", "end_time": "10:31", "location": "Europe/Zurich"},
		"to the end of the day": {"start_time": "09:00", "end_time": "24:00", "location": "UTC"},
		"another place, another day": {"weekdays": ["wednesday"], "start_time": "23:00", "location": "Pacific/Kiritimati"},
	}
	hours.within(wednesday, [window])
}

test_outside[note] if {
	some note, window in {
		"another day": {"weekdays": ["thursday:sunday"], "location": "UTC"},
		"before": {"start_time": "10:31", "location": "Europe/Zurich"},
		"at its end": {"end_time": "10:30", "location": "Europe/Zurich"},
		"another place": {"start_time": "10:00", "end_time": "11:00", "location": "UTC"},
	}
	not hours.within(wednesday, [window])
	hours.outside(wednesday, [window])
}

# The clocks of Zurich go back: 08:30 there is 06:30 UTC in summer and 07:30 in winter.
test_summer_and_winter if {
	early := object.union(object.remove(office, ["weekdays"]), {"end_time": "08:31"})
	hours.within({"seconds": 1698474600}, [early])
	hours.within({"seconds": 1698564600}, [early])
	hours.outside({"seconds": 1698561000}, [early])
}

test_one_window_is_enough if {
	night := {"start_time": "22:00", "end_time": "24:00", "location": "UTC"}
	hours.within(wednesday, [night, office])
	not hours.outside(wednesday, [night, office])
}

test_neither_within_nor_outside[note] if {
	some note, window in {
		"an unknown key": {"weekday": ["monday"], "location": "UTC"},
		"no location": {"weekdays": ["monday:sunday"]},
		"an empty location": {"location": ""},
		"the machine's": {"location": "Local"},
		"a location of another type": {"location": 1},
		"no days": {"weekdays": [], "location": "UTC"},
		"no day's name": {"weekdays": ["monday", "wed"], "location": "UTC"},
		"days that go back": {"weekdays": ["friday:monday"], "location": "UTC"},
		"a range of three": {"weekdays": ["monday:friday:sunday"], "location": "UTC"},
		"a day as text": {"weekdays": "wednesday", "location": "UTC"},
		"a day as a number": {"weekdays": [3], "location": "UTC"},
		"over midnight": {"start_time": "18:00", "end_time": "12:00", "location": "UTC"},
		"no minute": {"start_time": "09:00", "end_time": "09:00", "location": "UTC"},
		"half a time": {"start_time": "9:00", "location": "UTC"},
		"beyond the day": {"end_time": "24:01", "location": "UTC"},
		"a time as a number": {"start_time": 9, "location": "UTC"},
		"text": "always",
		"null": null,
	}
	not hours.well_formed(window)
	not hours.within(wednesday, [window])
	not hours.outside(wednesday, [window])
}

test_neither_at_no_time[note] if {
	some note, at in {
		"none": {},
		"zero": {"seconds": 0},
		"text": {"seconds": "1700040600"},
		"null": null,
		"the timestamp as text": "2023-11-15T09:30:00Z",
		"before it all": {"seconds": -1},
		"too far": {"seconds": 9223372036},
	}
	not hours.within(at, [{"location": "UTC"}])
	not hours.outside(at, [{"weekdays": ["monday"], "location": "UTC"}])
}

test_nothing_where_something_is_missing if {
	[true | hours.within(input.attributes.request.time, [{"location": "UTC"}])] == []
	[true | hours.outside(input.attributes.request.time, [office])] == []
	[true | hours.within(wednesday, input.windows)] == []
	[true | hours.outside(wednesday, input.windows)] == []
	not hours.within(wednesday, {"a": "b"})
	not hours.outside(wednesday, [])
	not hours.outside(wednesday, office)
}
