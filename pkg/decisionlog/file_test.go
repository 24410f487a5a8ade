package decisionlog_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/decisionlog"
)

func openFile(t *testing.T, config decisionlog.FileConfig) *decisionlog.File {
	t.Helper()
	f, err := decisionlog.OpenFile(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func writeLines(t *testing.T, f *decisionlog.File, lines string) {
	t.Helper()
	if n, err := f.Write([]byte(lines)); err != nil || n != len(lines) {
		t.Fatalf("%d of %d bytes, %v", n, len(lines), err)
	}
}

// contents are the files of a directory, oldest first.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 && strings.HasPrefix(e.Name(), "d") {
			t.Errorf("%s can be read by others: %v, %v", e.Name(), info.Mode(), err)
		}
		all = append(all, e.Name()+": "+string(text))
	}
	slices.Sort(all)
	return all
}

// A file is full before it would be too large; no line is parted, and only so many are kept.
func TestRotation(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	tick := func() time.Time { now = now.Add(time.Minute); return now }
	if err := os.WriteFile(filepath.Join(dir, "d-notes.ndjson"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := openFile(t, decisionlog.FileConfig{Path: filepath.Join(dir, "d.ndjson"), MaxBytes: 10, MaxFiles: 2, Now: tick})
	writeLines(t, f, "aaaa\nbbbb\ncccc\n")
	want := []string{"d-20261124T020100.000000000Z.ndjson: aaaa\nbbbb\n", "d-notes.ndjson: mine", "d.ndjson: cccc\n"}
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	writeLines(t, f, "a line that is longer than a file\ndd\nee\n")
	writeLines(t, f, "ff\n")
	writeLines(t, f, "gg\n")
	got := contents(t, dir)
	if n := len(got); n != 4 || got[n-1] != "d.ndjson: gg\n" || !strings.HasSuffix(got[n-2], "dd\nee\nff\n") && !strings.Contains(strings.Join(got, ""), "ee\nff\n") {
		t.Errorf("files %q", got)
	}
}

func TestRotatedFilesGrowOld(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)
	f := openFile(t, decisionlog.FileConfig{Path: filepath.Join(dir, "d.ndjson"), MaxBytes: 3, MaxAge: time.Hour, Now: func() time.Time { return now }})
	writeLines(t, f, "a\n")
	writeLines(t, f, "b\n")
	now = now.Add(2 * time.Hour)
	writeLines(t, f, "c\n")
	want := []string{"d-20261124T040000.000000000Z.ndjson: b\n", "d.ndjson: c\n"}
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// logrotate renames a file, or removes it: the next line goes into a new one.
func TestFileIsFollowed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "d.ndjson")
	f := openFile(t, decisionlog.FileConfig{Path: path})
	writeLines(t, f, "a\n")
	if err := os.Rename(path, filepath.Join(dir, "d.1")); err != nil {
		t.Fatal(err)
	}
	writeLines(t, f, "b\n")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	writeLines(t, f, "c\n")
	if diff := cmp.Diff([]string{"d.1: a\n", "d.ndjson: c\n"}, contents(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("d\n")); err == nil {
		t.Error("a directory took a line")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	writeLines(t, f, "d\n")
}

// A process that was killed amid a line leaves it unfinished; the next one begins a line of its own.
func TestUnfinishedLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.ndjson")
	if err := os.WriteFile(path, []byte("a\nhalf"), 0o600); err != nil {
		t.Fatal(err)
	}
	writeLines(t, openFile(t, decisionlog.FileConfig{Path: path}), "b\n")
	if text, _ := os.ReadFile(path); string(text) != "a\nhalf\nb\n" {
		t.Errorf("the file has %q", text)
	}
}

// A device takes lines and is never looked at; /dev/full is a disk that is full.
func TestDevices(t *testing.T) {
	writeLines(t, openFile(t, decisionlog.FileConfig{Path: "/dev/null"}), "a\n")
	if n, err := openFile(t, decisionlog.FileConfig{Path: "/dev/full"}).Write([]byte("a\n")); err == nil || n != 0 {
		t.Errorf("%d bytes, %v on a full disk", n, err)
	}
	if _, err := decisionlog.OpenFile(decisionlog.FileConfig{Path: filepath.Join(t.TempDir(), "none", "d")}); err == nil {
		t.Error("a file in no directory was opened")
	}
}
