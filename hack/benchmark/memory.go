package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// measureMemory asks o.memory checks, each of another user and another path, and prints the memory
// that Sallyport holds on the way. The tokens are signed with EdDSA, which is what makes a million of
// them possible in minutes.
func measureMemory(ctx context.Context, w *world, o options) (err error) {
	if w.key, err = tokentest.NewKey("bench", "EdDSA", ""); err != nil {
		return err
	}
	servers, err := contenders(w, o.sallyport, "")
	if err != nil {
		return err
	}
	server := servers[len(servers)-1]
	if err := server.start(ctx, w); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	conns, err := server.connections()
	if err != nil {
		return err
	}
	defer closeAll(conns)

	m := mix{name: "memory", allow: true, method: "GET", path: func(n int) string { return fmt.Sprintf("/orders/%010d", n) }}
	const batch = 50_000
	fmt.Println("   checks  resident MiB")
	for done := 0; done < o.memory; done += batch {
		tokens, err := w.tokens(min(batch, o.memory-done), fmt.Sprintf("user-%04d", done/batch), "clerk", "payer")
		if err != nil {
			return err
		}
		wire, err := newWire(m, tokens[0])
		if err != nil {
			return err
		}
		requests := func(n int) []byte { return wire.request(done+n, m.path(done+n), tokens[n]) }
		if _, err := closedLoop(ctx, conns, requests, m.allow, time.Hour, len(tokens)); err != nil {
			return err
		}
		resident, err := server.resident()
		if err != nil {
			return err
		}
		fmt.Printf("%9d  %12.1f %s\n", done+len(tokens), float64(resident)/(1<<20), strings.Repeat("▪", int(resident>>22)))
	}
	return nil
}
