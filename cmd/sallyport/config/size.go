package config

import (
	"errors"
	"strconv"
	"strings"
)

// maxSize keeps a size far from any overflow.
const maxSize = 1 << 30

// A Size is a number of bytes.
type Size int64

// UnmarshalText reads 64KiB, 1MiB or a plain number of bytes.
func (s *Size) UnmarshalText(text []byte) error {
	digits, unit := string(text), int64(1)
	for suffix, bytes := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if number, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = number, bytes
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return errors.New("must be a size such as 64KiB, 1MiB or a number of bytes")
	case err != nil || int64(n) > maxSize/unit:
		return errors.New("must be from 1 byte to 1GiB")
	}
	*s = Size(int64(n) * unit)
	return nil
}

// A Count is a number of things, to 1,000,000,000; 0 only where that has a meaning.
type Count int64

const notCount = "must be a whole number from 1 to 1000000000"

// UnmarshalText reads a plain number.
func (c *Count) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil || n > 1_000_000_000 {
		return errors.New(notCount)
	}
	*c = Count(n)
	return nil
}
