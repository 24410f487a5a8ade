package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A disk can be full. Where the test may mount one it is a small one of its own; elsewhere the log is a
// link to /dev/full, which takes nothing either.
type disk struct {
	log     string // the file of the log
	mounted bool
}

func newDisk(t *testing.T, dir string) *disk {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d := &disk{log: filepath.Join(dir, "decisions.ndjson")}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		fmt.Fprintf(os.Stderr, "\n*** %s: no file system can be mounted (%v): a full disk is /dev/full, and no line is cut\n", t.Name(), err)
		return d
	}
	d.mounted = true
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *disk) filler() string { return filepath.Join(filepath.Dir(d.log), "filler") }

func (d *disk) fill(t *testing.T) {
	t.Helper()
	if d.mounted {
		if err := os.WriteFile(d.filler(), make([]byte, 16<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("the disk is not full: %v", err)
		}
		return
	}
	if err := errors.Join(os.Rename(d.log, d.log+".1"), os.Symlink("/dev/full", d.log)); err != nil {
		t.Fatal(err)
	}
}

func (d *disk) free(t *testing.T) {
	t.Helper()
	file := d.filler()
	if !d.mounted {
		file = d.log
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}

// lines counts the records in all files of the log, each of which must be whole.
func (d *disk) lines(t *testing.T) int {
	t.Helper()
	seen := make(map[string]bool)
	files, err := filepath.Glob(d.log + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			var record struct {
				ID string `json:"decision_id"`
			}
			if err := json.Unmarshal(line, &record); err != nil {
				t.Errorf("a line is cut: %.100s", line)
			}
			seen[record.ID] = true
		}
	}
	return len(seen)
}

// The disk of the decision log is full. What happens is what whenFull says, and no line is cut. Once there
// is room again records are written.
func TestEnvoyFaultDiskFull(t *testing.T) {
	t.Parallel()
	for whenFull, excuse := range map[string]func(probe, int) bool{"drop": nil, "deny": always(http.StatusServiceUnavailable)} {
		t.Run(whenFull, func(t *testing.T) {
			t.Parallel()
			var d *disk
			s := startSite(t, plan{
				settings: []edit{{"file: decisions.ndjson", "file: disk/decisions.ndjson, queueRecords: 50, whenFull: " + whenFull}},
				prepare:  func(s *site) { d = newDisk(t, s.instances[0].path("disk")) },
			})
			i := s.instances[0]
			s.during(t, "disk full, "+whenFull, excuse, func() {
				d.fill(t)
				i.says(t, "/readyz", "decisionlog: file cannot be written")
				until(t, "records are lost", func() bool { return i.metric(t, "sallyport_decision_log_dropped_total") > 20 })
			})
			took := s.recovers(t, "disk with room, "+whenFull, excuse, func() { d.free(t) })
			t.Logf("all answers right %s after there was room", took.Round(time.Millisecond))
			s.during(t, "after the disk was full", nil, func() {})
			s.crowd.stop()
			lost := i.metric(t, "sallyport_decision_log_dropped_total")
			decided := i.metric(t, "sallyport_checks_total")
			until(t, "every other record is written", func() bool { return float64(d.lines(t)) >= decided-lost })
			t.Logf("%v checks, %d records, %v dropped", decided, d.lines(t), lost)
		})
	}
}

// The collector of traces, metrics and records is gone, or takes connections and says nothing. Nobody
// notices, and the instance ends in the time that it says.
func TestEnvoyFaultCollector(t *testing.T) {
	t.Parallel()
	hanging := listen(t)
	t.Cleanup(func() { hanging.Close() })
	go hang(hanging)
	gone := freeAddr(t)
	for what, addr := range map[string]net.Addr{"collector gone": gone, "collector hangs": hanging.Addr()} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, plan{
				env:      []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + addr.String(), "OTEL_METRIC_EXPORT_INTERVAL=500", "OTEL_BSP_SCHEDULE_DELAY=200"},
				settings: []edit{{"decisionLog: {", "decisionLog: {otlp: true, "}},
			})
			s.during(t, what, nil, func() {
				seconds := time.NewTimer(3 * time.Second)
				<-seconds.C
			})
			s.crowd.stop()
			// half a second of draining, and the five that logs and spans have
			if took := s.instances[0].terminate(t); took > 15*time.Second {
				t.Errorf("ended after %s", took)
			} else {
				t.Logf("ended after %s", took.Round(time.Millisecond))
			}
		})
	}
}

// hang takes connections and answers nothing.
func hang(listener net.Listener) {
	var all []net.Conn
	for {
		conn, err := listener.Accept()
		if err != nil {
			break
		}
		all = append(all, conn)
	}
	for _, conn := range all {
		conn.Close()
	}
}
