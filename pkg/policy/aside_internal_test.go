package policy

import (
	"maps"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
)

// TestAsides knows a map by its address, and what says the same by its digest.
func TestAsides(t *testing.T) {
	kept := asides{newStore[uintptr, *aside](1<<20, new(atomic.Uint64))}
	ann := parsed(t, `{"sub": "ann", "n": 1.0, "roles": ["a", null, true], "o": {"b": 1, "a": {}}}`)
	first := makeAside(t, kept, ann)
	if again := makeAside(t, kept, ann); again != first {
		t.Error("the same map was read twice")
	}
	if same := makeAside(t, kept, maps.Clone(ann)); same == first || same.digest != first.digest {
		t.Error("a copy is the same map, or has another digest")
	}
	for _, other := range []string{`{"sub": "bob"}`, `{}`, `{"n": 1.0}`, `{"n": "1.0"}`, `{"n": 1}`} {
		if makeAside(t, kept, parsed(t, other)).digest == first.digest {
			t.Errorf("%s has the digest of another", other)
		}
	}
	want, err := ast.InterfaceToValue(ann)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, err := first.read()
		if diff := cmp.Diff(want.String(), got.String()); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	if _, err := kept.of(map[string]any{"x": func() {}}); err == nil {
		t.Error("a function is a claim")
	}
	makeAside(t, kept, nil)
}

func makeAside(t *testing.T, kept asides, source map[string]any) *aside {
	t.Helper()
	a, err := kept.of(source)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
