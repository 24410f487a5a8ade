package policy

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestStoreKeepsWhatIsAskedFor lets many pass by one that is asked for in between.
func TestStoreKeepsWhatIsAskedFor(t *testing.T) {
	var evicted atomic.Uint64
	s := newStore[int, string](16*4*(entryBytes+100), &evicted) // four in each shard
	s.put(0, -1, "popular", 100)
	for i := range 100 {
		if v, ok := s.get(0, -1); !ok || v != "popular" {
			t.Fatalf("it was gone after %d others", i)
		}
		s.put(0, i, "once", 100)
	}
	if entries, bytes := s.sizes(); entries != 4 || bytes != 4*(entryBytes+100) {
		t.Errorf("%d entries of %d bytes, want 4", entries, bytes)
	}
	if got := evicted.Load(); got != 97 {
		t.Errorf("%d evicted, want 97", got)
	}
	if v, ok := s.get(0, 99); !ok || v != "once" {
		t.Error("the newest is gone")
	}
}

func TestStoreRefuses(t *testing.T) {
	var evicted atomic.Uint64
	s := newStore[int, string](16*1000, &evicted)
	s.put(0, 1, "first", 10)
	s.put(0, 1, "second", 10)
	s.put(0, 2, "too large", 1000)
	if v, _ := s.get(0, 1); v != "first" {
		t.Errorf("got %q, want the first", v)
	}
	if _, ok := s.get(0, 2); ok || evicted.Load() != 0 {
		t.Error("it keeps what is too large, or made room for it")
	}
	none := newStore[int, string](0, &evicted)
	none.put(0, 1, "x", 1)
	if _, ok := none.get(0, 1); ok {
		t.Error("a store of nothing keeps something")
	}
}

// TestStoreInOrder evicts in every order of asking, down to one entry and up again.
func TestStoreInOrder(t *testing.T) {
	var evicted atomic.Uint64
	s := newStore[int, int](16*(entryBytes+64), &evicted) // room for one
	for i := range 1000 {
		s.put(0, i, i, 64)
		if v, ok := s.get(0, i); !ok || v != i {
			t.Fatalf("%d is not there", i)
		}
	}
	if entries, _ := s.sizes(); entries != 1 {
		t.Errorf("%d entries, want 1", entries)
	}
}

func TestStoreConcurrently(t *testing.T) {
	var evicted atomic.Uint64
	s := newStore[int, int](16*10*(entryBytes+1), &evicted)
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 10_000 {
				key := (i*7 + worker) % 500
				if v, ok := s.get(spread(uintptr(key)), key); ok && v != key {
					t.Errorf("%d under %d", v, key)
				}
				s.put(spread(uintptr(key)), key, key, 1)
			}
		})
	}
	group.Wait()
}
