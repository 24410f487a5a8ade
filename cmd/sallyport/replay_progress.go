package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/pkg/history"
)

// showProgress says on a terminal how far a log is read, until the context ends; then the line is gone,
// and what is returned is closed.
func showProgress(ctx context.Context, out io.Writer, log *history.Log) <-chan struct{} {
	done := make(chan struct{})
	if terminal, _ := onTerminal(out); !terminal {
		close(done)
		return done
	}
	go func() {
		defer close(done)
		begun, tick := time.Now(), time.NewTicker(time.Second/2)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				fmt.Fprint(out, "\r\x1b[K")
				return
			case <-tick.C:
				fmt.Fprint(out, "\r\x1b[K"+progress(log.Read(), log.Size(), time.Since(begun)))
			}
		}
	}()
	return done
}

// progress is one line: how much, how fast, and how long it will take. The size of standard input is not known.
func progress(read, size int64, since time.Duration) string {
	const mega = 1 << 20
	rate := float64(read) / since.Seconds()
	text := fmt.Sprintf("%.1f MiB, %.1f MiB/s", float64(read)/mega, rate/mega)
	if size <= 0 || read <= 0 || read > size {
		return text
	}
	left := time.Duration(float64(size-read) / rate * float64(time.Second))
	return fmt.Sprintf("%d %% of %.1f MiB, %.1f MiB/s, %s left", 100*read/size, float64(size)/mega, rate/mega, left.Round(time.Second))
}
