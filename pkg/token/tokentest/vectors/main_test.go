package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestUpToDate makes sure that the files are what this program writes.
func TestUpToDate(t *testing.T) {
	files, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("..", "..", "testdata", "vectors")
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != string(want) {
			t.Errorf("%s is not up to date (%v); write it anew with go run ./pkg/token/tokentest/vectors", name, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if files[entry.Name()] == nil {
			t.Errorf("%s is not written any more", entry.Name())
		}
	}
}
