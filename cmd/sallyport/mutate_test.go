package main

import (
	"bytes"
	"math/rand/v2"

	"google.golang.org/protobuf/encoding/protowire"
)

// A mutator makes hostile messages of good ones.
type mutator struct {
	random *rand.Rand
	seeds  [][]byte // messages
	words  [][]byte // what texts are replaced by
}

// next is a message: mostly one that a decoder follows far in.
func (m *mutator) next() []byte {
	seed := m.seed()
	switch m.random.IntN(16) {
	case 0:
		return m.garbage()
	case 1:
		return seed[:m.random.IntN(len(seed)+1)]
	case 2:
		return append(append([]byte(nil), seed...), m.seed()...) // protobuf merges them
	case 3:
		return m.insert(seed, m.garbage())
	case 4, 5:
		return m.flip(seed)
	}
	return m.fields(seed)
}

func (m *mutator) seed() []byte { return m.seeds[m.random.IntN(len(m.seeds))] }

func (m *mutator) garbage() []byte {
	text := make([]byte, m.random.IntN(200))
	for i := range text {
		text[i] = byte(m.random.Uint32())
	}
	return text
}

func (m *mutator) insert(into, text []byte) []byte {
	at := m.random.IntN(len(into) + 1)
	return bytes.Join([][]byte{into[:at], text, into[at:]}, nil)
}

func (m *mutator) flip(text []byte) []byte {
	text = bytes.Clone(text)
	for range 1 + m.random.IntN(4) {
		if len(text) > 0 {
			text[m.random.IntN(len(text))] = byte(m.random.Uint32())
		}
	}
	return text
}

// fields changes fields of a message: here or deeper they are lost, doubled, swapped, given another
// type, and their texts replaced.
func (m *mutator) fields(message []byte) []byte {
	var fields [][]byte
	for rest := message; len(rest) > 0; {
		number, kind, tag := protowire.ConsumeTag(rest)
		size := tag + protowire.ConsumeFieldValue(number, kind, rest[max(tag, 0):])
		if tag < 0 || size < tag {
			return m.text(message)
		}
		field := rest[:size]
		rest = rest[size:]
		if content, n := protowire.ConsumeBytes(field[tag:]); kind == protowire.BytesType && n > 0 && m.random.IntN(3) > 0 {
			field = protowire.AppendBytes(protowire.AppendTag(nil, number, kind), m.fields(content))
		}
		for range m.copies() {
			fields = append(fields, field)
		}
		if m.random.IntN(100) == 0 {
			fields = append(fields, m.alien(number))
		}
	}
	if m.random.IntN(8) == 0 {
		m.random.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	}
	return bytes.Join(fields, nil)
}

// copies is how often a field is there: mostly once.
func (m *mutator) copies() int {
	switch m.random.IntN(60) {
	case 0:
		return 0
	case 1:
		return 2
	}
	return 1
}

// alien is a field of a type that its number does not have.
func (m *mutator) alien(number protowire.Number) []byte {
	switch m.random.IntN(5) {
	case 0:
		return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), m.random.Uint64())
	case 1:
		return protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), m.random.Uint64())
	case 2: // a group that may never end
		return protowire.AppendTag(nil, number, protowire.StartGroupType)
	case 3: // a length beyond the end
		return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.BytesType), m.random.Uint64())
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, protowire.Number(1+m.random.IntN(1<<20)), protowire.BytesType), m.garbage())
}

// text changes what is no message: names, values, a body; paths and credentials more often.
func (m *mutator) text(text []byte) []byte {
	odds := 120
	if bytes.HasPrefix(text, []byte("/")) || bytes.HasPrefix(text, []byte("Bearer ")) {
		odds = 20
	}
	switch m.random.IntN(odds) {
	case 0:
		return m.flip(text)
	case 1:
		return m.insert(text, m.garbage())
	case 2:
		return text[:m.random.IntN(len(text)+1)]
	case 3, 4:
		return m.insert(text, m.words[m.random.IntN(len(m.words))])
	case 5, 6:
		return m.words[m.random.IntN(len(m.words))]
	case 7:
		return bytes.Repeat(text, m.random.IntN(50))
	}
	return text
}
