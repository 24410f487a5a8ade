package history

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	maxLine   = 64 << 20 // the longest line that is read, in bytes: a body of request.maxBodyBytes fits
	blockSize = 256 << 10
)

// A Log is the files of a decision log. Its methods may be used concurrently, but [Log.Each] once.
type Log struct {
	files []string
	stdin io.Reader
	size  int64
	read  atomic.Int64
	torn  atomic.Int64
}

// A Place is where a record stands.
type Place struct {
	File string
	Line int // from 1
}

// String is as compilers write places.
func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Open finds the files of a log: files as named, of a directory those with ".ndjson" in their names,
// in the order of the names, which is that of rotation; "-" is stdin. A name that ends in ".gz" is
// decompressed.
func Open(stdin io.Reader, paths ...string) (*Log, error) {
	l := &Log{stdin: stdin}
	for _, path := range paths {
		files := []string{path}
		info, err := os.Stat(path)
		switch {
		case path == "-":
		case err != nil:
			return nil, fmt.Errorf("history: open the log: %w", err)
		case info.IsDir():
			if files, err = logsIn(path); err != nil {
				return nil, err
			}
		}
		l.files = append(l.files, files...)
	}
	for _, file := range l.files {
		if info, err := os.Stat(file); err == nil {
			l.size += info.Size()
		}
	}
	return l, nil
}

func logsIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("history: open the log: %w", err)
	}
	var files []string
	for _, entry := range entries {
		if strings.Contains(entry.Name(), ".ndjson") && entry.Type().IsRegular() {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("history: open the log: %w", &fs.PathError{Op: "find *.ndjson in", Path: dir, Err: fs.ErrNotExist})
	}
	slices.SortFunc(files, func(a, b string) int { return strings.Compare(age(a), age(b)) })
	return files, nil
}

// age sorts the file that is being written, decisions.ndjson, behind those that it was renamed to,
// decisions-20261124T023531.123456789Z.ndjson.
func age(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ndjson")
	if !strings.Contains(name, "-") {
		name += "~"
	}
	return name
}

// Size is the size of all files in bytes, as far as it is known.
func (l *Log) Size() int64 { return l.size }

// Read is how many bytes of them were read.
func (l *Log) Read() int64 { return l.read.Load() }

// Torn counts the files whose last line has no end and is no record: the server is still writing it,
// or was killed while it did. Such a line is left out.
func (l *Log) Torn() int64 { return l.torn.Load() }

// Each reads the log and hands every record to do, on as many goroutines as workers says, each with
// its number from 0, in no order. It ends at the first error, of do or of a line that is no record,
// which it names. A record is the worker's to keep.
func (l *Log) Each(ctx context.Context, workers int, do func(worker int, at Place, r *Record) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	blocks := make(chan block, workers)
	var wait sync.WaitGroup
	for worker := range workers {
		wait.Go(func() {
			for b := range blocks {
				if err := l.records(b, func(at Place, r *Record) error { return do(worker, at, r) }); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, file := range l.files {
		if err := l.file(ctx, file, blocks); err != nil {
			cancel(err)
			break
		}
	}
	close(blocks)
	wait.Wait()
	return context.Cause(ctx)
}

// A block is some whole lines.
type block struct {
	text  []byte
	first Place
}

func (l *Log) records(b block, do func(Place, *Record) error) error {
	at := b.first
	for line := range bytes.Lines(b.text) {
		r, err := Parse(line)
		switch {
		case len(bytes.TrimSpace(line)) == 0:
		case err != nil && !bytes.HasSuffix(line, []byte("\n")):
			l.torn.Add(1)
		case err != nil:
			return fmt.Errorf("%v: %w", at, err)
		case r.Candidate != nil: // of a check whose line is another
		default:
			if err := do(at, r); err != nil {
				return err
			}
		}
		at.Line++
	}
	return nil
}

// file cuts a file into blocks.
func (l *Log) file(ctx context.Context, name string, blocks chan<- block) error {
	in, err := l.open(name)
	if err != nil {
		return fmt.Errorf("history: read the log: %w", err)
	}
	defer in.Close()
	reader := bufio.NewReaderSize(in, 64<<10)
	for at := (Place{File: name, Line: 1}); ; {
		text, err := lines(reader)
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return fmt.Errorf("%v: history: %w", at, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case blocks <- block{text, at}:
		}
		if ended {
			return nil
		}
		at.Line += bytes.Count(text, []byte("\n"))
	}
}

// lines reads whole lines, a block of them or one that is longer, until io.EOF.
func lines(from *bufio.Reader) ([]byte, error) {
	text := make([]byte, 0, blockSize+blockSize/8)
	for len(text) < blockSize || text[len(text)-1] != '\n' {
		piece, err := from.ReadSlice('\n')
		text = append(text, piece...)
		switch {
		case len(text) > blockSize+maxLine:
			return nil, fmt.Errorf("a line of more than %d MiB is no record", maxLine>>20)
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return text, err // io.EOF, or what file tells with its place
		}
	}
	return text, nil
}

// A stream is what a file holds, and the file.
type stream struct {
	io.Reader
	io.Closer
}

// open opens a file for reading, counted and decompressed.
func (l *Log) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(counter{l.stdin, &l.read}), nil
	}
	file, err := os.Open(name)
	if err != nil || !strings.HasSuffix(name, ".gz") {
		return stream{counter{file, &l.read}, file}, err
	}
	plain, err := gzip.NewReader(counter{file, &l.read})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("decompress %s: %w", name, err), file.Close())
	}
	return stream{plain, file}, nil
}

// A counter counts what is read through it.
type counter struct {
	io.Reader
	read *atomic.Int64
}

func (c counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read.Add(int64(n))
	return n, err
}
