package decisionlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A FileConfig says where a file is, and when another one takes its place.
type FileConfig struct {
	Path string

	// MaxBytes is the size that a file does not grow beyond, but for a single line that is longer; 0
	// means any. A full file is renamed: decisions.ndjson becomes decisions-20261124T023531.123456789Z.ndjson.
	MaxBytes int64

	// MaxFiles and MaxAge say which renamed files are kept; 0 means any.
	MaxFiles int
	MaxAge   time.Duration

	Now func() time.Time // nil means time.Now
}

// A File is a sink that is rotated. Where something else renames or removes the file, as logrotate
// does, a new one is made at its path: no signal is needed. One goroutine writes.
type File struct {
	config FileConfig
	file   *os.File
	info   fs.FileInfo
	size   int64
}

// stamp is the time in the name of a renamed file; names sort as times do.
const stamp = "20060102T150405.000000000Z"

// OpenFile opens or makes the file. Only its owner may read it: decisions say who did what.
func OpenFile(config FileConfig) (*File, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	f := &File{config: config}
	if err := f.open(); err != nil {
		return nil, fmt.Errorf("decisionlog: %w", err)
	}
	return f, nil
}

// Write implements [io.Writer] for whole lines. No line is parted by a rotation.
func (f *File) Write(lines []byte) (written int, err error) {
	if err := f.follow(); err != nil {
		return 0, err
	}
	for written < len(lines) {
		part := f.fitting(lines[written:])
		if len(part) == 0 {
			if err := f.rotate(); err != nil {
				return written, err
			}
			continue
		}
		n, err := f.file.Write(part)
		written += n
		f.size += int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }

// fitting is how much of the lines the file has room for: whole lines, and at least one in an empty
// file. What is left of a line that was written in part belongs there too.
func (f *File) fitting(lines []byte) []byte {
	room := f.config.MaxBytes - f.size
	if f.config.MaxBytes == 0 || int64(len(lines)) <= room {
		return lines
	}
	if end := bytes.LastIndexByte(lines[:max(room, 0)], '\n'); end >= 0 {
		return lines[:end+1]
	}
	if f.size == 0 {
		return lines[:bytes.IndexByte(lines, '\n')+1]
	}
	return nil
}

// follow opens the path again where it is no longer the file that is written.
func (f *File) follow() error {
	info, err := os.Stat(f.config.Path)
	if err == nil && os.SameFile(info, f.info) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.open()
}

func (f *File) rotate() error {
	begin, ending := f.nameParts()
	if err := os.Rename(f.config.Path, begin+f.config.Now().UTC().Format(stamp)+ending); err != nil {
		return err
	}
	return errors.Join(f.open(), f.prune())
}

// open opens the path, and then closes what was open before.
func (f *File) open() error {
	file, err := os.OpenFile(f.config.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if f.file != nil {
		err = f.file.Close()
	}
	f.file, f.info, f.size = file, info, info.Size()
	return errors.Join(err, f.mend())
}

// mend ends a line that a process left unfinished when it was killed. A pipe or a device has none.
func (f *File) mend() error {
	if !f.info.Mode().IsRegular() || f.size == 0 {
		return nil
	}
	var last [1]byte
	if _, err := f.file.ReadAt(last[:], f.size-1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	n, err := f.file.WriteString("\n")
	f.size += int64(n)
	return err
}

// nameParts are what comes before and after the time in the name of a renamed file.
func (f *File) nameParts() (begin, ending string) {
	ending = filepath.Ext(f.config.Path)
	return strings.TrimSuffix(f.config.Path, ending) + "-", ending
}

// prune removes renamed files that are too many or too old. Files with other names are left alone.
func (f *File) prune() error {
	begin, ending := f.nameParts()
	entries, err := os.ReadDir(filepath.Dir(begin))
	if err != nil {
		return err
	}
	var times []time.Time
	for _, entry := range entries {
		name, ok := strings.CutPrefix(entry.Name(), filepath.Base(begin))
		text, isOurs := strings.CutSuffix(name, ending)
		if at, err := time.Parse(stamp, text); ok && isOurs && err == nil {
			times = append(times, at)
		}
	}
	slices.SortFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	var errs []error
	for i, at := range times {
		tooMany := f.config.MaxFiles > 0 && i >= f.config.MaxFiles
		tooOld := f.config.MaxAge > 0 && f.config.Now().Sub(at) > f.config.MaxAge
		if tooMany || tooOld {
			errs = append(errs, os.Remove(begin+at.Format(stamp)+ending))
		}
	}
	return errors.Join(errs...)
}
