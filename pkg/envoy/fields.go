package envoy

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields goes through the fields of an encoded protobuf message, once, in order. For each, next is
// followed by one of the methods that take its value. What is not plainly as expected makes done say
// false, and that is all that is known then.
type fields struct {
	rest   string
	number protowire.Number
	kind   protowire.Type
	seen   uint32 // a bit for each number that came
	failed bool
}

// next goes to the next field; false at the end.
func (f *fields) next() bool {
	if f.failed || f.rest == "" {
		return false
	}
	tag := f.uvarint()
	f.number, f.kind = protowire.DecodeTag(tag)
	if f.number < 1 || f.number > 31 {
		f.failed = true
	}
	return !f.failed
}

// done tells whether the message was read to its end and held nothing unusual.
func (f *fields) done() bool { return !f.failed && f.rest == "" }

// read notes whether a value could be read.
func (f *fields) read(ok bool) { f.failed = f.failed || !ok }

// once notes that the field has come, which it may once: protobuf would merge a second one.
func (f *fields) once() {
	bit := uint32(1) << f.number
	f.read(f.seen&bit == 0)
	f.seen |= bit
}

// repeated takes the bytes of a field that may come several times.
func (f *fields) repeated() string {
	length := f.uvarint()
	if f.failed || f.kind != protowire.BytesType || length > uint64(len(f.rest)) {
		f.failed = true
		return ""
	}
	value := f.rest[:length]
	f.rest = f.rest[length:]
	return value
}

// bytes takes the bytes of a field.
func (f *fields) bytes() string {
	f.once()
	return f.repeated()
}

// text takes a string, which must be UTF-8.
func (f *fields) text() string {
	value := f.bytes()
	f.read(utf8.ValidString(value))
	return value
}

// varint takes a number.
func (f *fields) varint() uint64 {
	f.once()
	f.read(f.kind == protowire.VarintType)
	return f.uvarint()
}

// uvarint reads a base-128 number of ten bytes at most, the last of them 0 or 1.
func (f *fields) uvarint() uint64 {
	var value uint64
	for i := 0; i < len(f.rest) && i < 10; i++ {
		b := f.rest[i]
		if i == 9 && b > 1 {
			break
		}
		value |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			f.rest = f.rest[i+1:]
			return value
		}
	}
	f.failed = true
	return 0
}
