package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// TestUpToDate makes sure that the files are what this program writes.
func TestUpToDate(t *testing.T) {
	files, err := generate("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not up to date; write it anew with go generate ./cmd/sallyport/config (-want +got):\n%s", name, diff)
		}
	}
}

// TestEverySettingIsTold holds that each setting has a row with a meaning, and a schema with a
// description, down to the last one.
func TestEverySettingIsTold(t *testing.T) {
	root, err := readSettings("..")
	if err != nil {
		t.Fatal(err)
	}
	page, err := writePage(root)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	var check func(settings []setting)
	check = func(settings []setting) {
		for _, s := range settings {
			count++
			if told := "| `" + s.path + "` | "; !s.isSection() && !strings.Contains(string(page), told) {
				t.Errorf("no row for %s", s.path)
			}
			schema, err := s.schema()
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := schema["description"].(string); len(text) < 20 {
				t.Errorf("%s is described by %q", s.path, text)
			}
			if first, _, _ := strings.Cut(s.doc, " "); first != s.name {
				t.Errorf("the comment of %s begins with %q, not with its name", s.path, first)
			}
			check(s.below)
		}
	}
	check(root.below)
	if count < 40 {
		t.Errorf("%d settings, want at least 40", count)
	}
}

func TestMissingComment(t *testing.T) {
	r := reader{comments: comments{}}
	root, err := readSettings("..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.fields(root.typ, reflect.ValueOf(config.Default()), ""); err == nil || !strings.Contains(err.Error(), "has no comment") {
		t.Errorf("got %v, want that a setting has no comment", err)
	}
}

func TestSizeText(t *testing.T) {
	for bytes, want := range map[int64]string{1 << 20: "1MiB", 3 << 30: "3GiB", 65536: "64KiB", 1000: "1000"} {
		if got := sizeText(bytes); got != want {
			t.Errorf("%d: got %q, want %q", bytes, got, want)
		}
	}
}
