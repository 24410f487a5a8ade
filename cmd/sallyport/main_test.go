package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sallyport": main})
}

// The scripts may use two free ports, $GRPC and $ADMIN, the file $ENVOY_YAML, and the commands ready, answers, messages and eventually.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"GRPC", "ADMIN"} {
				port, err := envoytest.FreePort(t.Context())
				if err != nil {
					return err
				}
				env.Setenv(name, strconv.Itoa(port))
			}
			file, err := filepath.Abs("../../deploy/envoy/envoy.yaml")
			env.Setenv("ENVOY_YAML", file)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": ready, "answers": answers, "messages": messages, "eventually": eventually,
		},
	})
}

// eventually waits until a file that a command writes in the background has a text.
func eventually(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) != 2 {
		ts.Fatalf("usage: eventually FILE REGEX")
	}
	want, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && want.Match(text) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s has nothing like %s: %v\n%s", args[0], args[1], err, text)
		}
	}
}

// ready waits until an address answers 200.
func ready(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) != 1 {
		ts.Fatalf("usage: ready URL")
	}
	scriptAwait(ts, args[0]+" does not answer 200", func() bool {
		code, _ := fetch(ts, args[0])
		return code == http.StatusOK
	})
}

// answers waits until an address answers what matches.
func answers(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) != 2 {
		ts.Fatalf("usage: answers URL REGEXP")
	}
	pattern := regexp.MustCompile("(?m)" + args[1])
	scriptAwait(ts, args[0]+" does not answer "+args[1], func() bool {
		_, text := fetch(ts, args[0])
		return pattern.MatchString(text)
	})
}

// messages waits until a file has a line that matches.
func messages(ts *testscript.TestScript, negated bool, args []string) {
	if negated || len(args) != 2 {
		ts.Fatalf("usage: messages FILE REGEXP")
	}
	pattern := regexp.MustCompile("(?m)" + args[1])
	scriptAwait(ts, args[0]+" does not say "+args[1], func() bool { return pattern.MatchString(ts.ReadFile(args[0])) })
}

func fetch(ts *testscript.TestScript, url string) (int, string) {
	resp, err := http1().Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ts.Check(err)
	return resp.StatusCode, string(text)
}

func scriptAwait(ts *testscript.TestScript, complaint string, done func() bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.Fatalf("%s", complaint)
		}
	}
}
