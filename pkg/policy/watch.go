package policy

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Writers take some moments for several files, so a reload waits until nothing has changed for
// quiet, and at most for patience.
const (
	quiet    = 100 * time.Millisecond
	patience = 2 * time.Second
)

// A watcher calls reload when files change. It watches directories and not files, since an editor
// replaces the file, and a mounted ConfigMap the link to its directory.
type watcher struct {
	files  []string
	logger *slog.Logger
	reload func(context.Context) error
	events *fsnotify.Watcher

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// watched are the files that are read again when they change.
func (c Config) watched() []string {
	if c.ProtoDescriptor == "" {
		return c.Files
	}
	return append(slices.Clone(c.Files), c.ProtoDescriptor)
}

func newWatcher(files []string, logger *slog.Logger, reload func(context.Context) error) (*watcher, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("policy: watch: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{files: files, logger: logger, reload: reload, events: events, cancel: cancel}
	w.watch()
	w.done.Go(func() { w.run(ctx) })
	return w, nil
}

// close ends the watching, and a reload that runs, and waits for both.
func (w *watcher) close() error {
	w.cancel()
	err := w.events.Close()
	w.done.Wait()
	return err
}

func (w *watcher) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.events.Events:
		case err := <-w.events.Errors: // too many events, some of them lost
			w.lost(err)
		}
		if !w.settle(ctx) {
			return
		}
		w.watch() // before reading, so that nothing between the two is missed
		if err := w.reload(ctx); err != nil && ctx.Err() == nil {
			w.logger.Error("policy refused, the old one stays", "error", err)
		}
	}
}

// settle waits until nothing changes any more, and tells whether to go on.
func (w *watcher) settle(ctx context.Context) bool {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		still := time.NewTimer(quiet)
		select {
		case <-ctx.Done():
			still.Stop()
			return false
		case <-still.C:
			return true
		case <-limit.C:
			still.Stop()
			return true
		case <-w.events.Events:
		case err := <-w.events.Errors:
			w.lost(err)
		}
		still.Stop()
	}
}

// lost notes that events are missing. All files are read again after any event, so nothing else is.
func (w *watcher) lost(err error) {
	if err != nil { // nil: closed
		w.logger.Debug("events of the policy's files were lost", "error", err)
	}
}

// watch adds the directories that there are now. To watch one again does nothing.
func (w *watcher) watch() {
	for _, dir := range w.dirs() {
		if err := w.events.Add(dir); err != nil {
			w.logger.Warn("cannot watch a directory of the policy: its changes are not noticed", "directory", dir, "error", err)
		}
	}
}

// dirs lists the directories whose changes may change the policy: those of the files, those below
// the directories, through links, and the one of each link on the way.
func (w *watcher) dirs() []string {
	var dirs []string
	for _, name := range w.files {
		dirs = append(dirs, filepath.Dir(name))
		for at := filepath.Clean(name); filepath.Dir(at) != at; at = filepath.Dir(at) {
			if info, err := os.Lstat(at); err == nil && info.Mode()&fs.ModeSymlink != 0 {
				dirs = append(dirs, filepath.Dir(at))
			}
		}
		dirs = append(dirs, below(name)...)
	}
	return dirs
}

// below lists a directory and those that [source.addDir] reads in it.
func below(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // a file, or gone
	}
	dirs := []string{dir}
	for _, entry := range entries {
		if entry.Type().IsRegular() || entry.Name()[0] == '.' {
			continue
		}
		dirs = append(dirs, below(filepath.Join(dir, entry.Name()))...)
	}
	return dirs
}

// Watch calls changed after files have changed, or what lies in directories, until ctx ends. A change
// is noticed a moment after the last write.
func Watch(ctx context.Context, paths []string, changed func(context.Context)) error {
	w, err := newWatcher(paths, slog.New(slog.DiscardHandler), func(ctx context.Context) error {
		changed(ctx)
		return nil
	})
	if err != nil {
		return err
	}
	<-ctx.Done()
	return w.close()
}
