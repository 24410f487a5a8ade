package envoy

// For tests of the two readings.
var (
	Decode  = decode
	Extract = extract
)
