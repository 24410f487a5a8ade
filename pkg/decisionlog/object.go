package decisionlog

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/pkg/authz/mask"
)

// An object is JSON in the making. Members are parted by looking at the last byte.
type object struct{ out []byte }

// value writes a claim, masked by what its name says and by its shape.
func (w *object) value(j mask.Judgement, value any) {
	switch v := value.(type) {
	case string:
		w.out = mask.AppendJSON(w.out, j.Value(v))
	case bool:
		w.out = strconv.AppendBool(w.out, v)
	case nil:
		w.out = append(w.out, "null"...)
	default:
		if j == mask.Secret {
			w.out = mask.AppendJSON(w.out, mask.Text)
			return
		}
		w.compound(j, value)
	}
}

func (w *object) compound(j mask.Judgement, value any) {
	switch v := value.(type) {
	case json.Number:
		w.out = append(w.out, v...)
	case []any:
		w.begin("", '[')
		for _, element := range v {
			w.next()
			w.value(j, element)
		}
		w.end(']')
	case map[string]any:
		w.begin("", '{')
		for _, member := range slices.Sorted(maps.Keys(v)) {
			w.foreign(member)
			w.value(mask.Judge(member), v[member])
		}
		w.end('}')
	default: // no type of JSON: a Verifier that breaks its contract
		w.out = append(w.out, "null"...)
	}
}

// begin opens an object or a list; one without a name is an element, or the value of a name before.
func (w *object) begin(name string, bracket byte) {
	if name != "" {
		w.name(name)
	}
	w.next()
	w.out = append(w.out, bracket)
}

func (w *object) end(bracket byte) { w.out = append(w.out, bracket) }

// next parts a member or an element from the one before, if there is one.
func (w *object) next() {
	if n := len(w.out); n > 0 {
		switch w.out[n-1] {
		case '{', '[', ':', ',', '\n':
		default:
			w.out = append(w.out, ',')
		}
	}
}

// name begins a member of the format, whose names need no escape.
func (w *object) name(name string) {
	w.next()
	w.out = append(append(append(w.out, '"'), name...), '"', ':')
}

// foreign begins a member that others have named.
func (w *object) foreign(name string) {
	w.next()
	w.out = append(mask.AppendJSON(w.out, name), ':')
}

func (w *object) quoted(name, text string) {
	w.name(name)
	w.out = mask.AppendJSON(w.out, text)
}

// text writes a text that is set.
func (w *object) text(name, text string) {
	if text != "" {
		w.quoted(name, text)
	}
}

func (w *object) integer(name string, n int64) {
	w.name(name)
	w.out = strconv.AppendInt(w.out, n, 10)
}

func (w *object) boolean(name string, b bool) {
	w.name(name)
	w.out = strconv.AppendBool(w.out, b)
}

func (w *object) time(name string, t time.Time) {
	w.name(name)
	w.out = append(w.out, '"')
	w.out = t.UTC().AppendFormat(w.out, time.RFC3339Nano)
	w.out = append(w.out, '"')
}

func (w *object) list(name string, texts []string) {
	if len(texts) == 0 {
		return
	}
	w.begin(name, '[')
	for _, text := range texts {
		w.next()
		w.out = mask.AppendJSON(w.out, mask.Free(text))
	}
	w.end(']')
}
