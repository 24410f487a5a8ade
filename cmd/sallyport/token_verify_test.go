package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/pkg/token/tokentest"
)

// TestVerifyFetchesKeys takes the keys from a real issuer by discovery, and then from one that has
// gone, whose keys are waited for as long as the context lets it.
func TestVerifyFetchesKeys(t *testing.T) {
	i, err := tokentest.New(tokentest.Config{Algorithms: []string{"ES256"}})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	text, err := i.Token("orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(file, []byte("jwt: {rules: [{name: users, issuer: '"+i.URL+"', audiences: [orders]}]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, _, err := verifyWithin(t, file, text, time.Minute)
	if err != nil || !strings.Contains(stdout, "Verified.") {
		t.Errorf("%v\n%s", err, stdout)
	}
	i.Close()
	stdout, stderr, err := verifyWithin(t, file, text, time.Second)
	if err == nil || !strings.Contains(err.Error(), "token_keys_unavailable") {
		t.Errorf("got %v, want that the keys are unavailable", err)
	}
	if want := `Waiting for the keys of "` + i.URL + `", 10 seconds at most`; !strings.Contains(stderr, want) {
		t.Errorf("no %q in\n%s", want, stderr)
	}
	for _, want := range []string{"The issuer's keys could not be had in 10 seconds:", "connection refused", "See that this machine reaches the issuer"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

func verifyWithin(t *testing.T, file, text string, limit time.Duration) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var out, errOut bytes.Buffer
	root := newRoot()
	root.SetArgs([]string{"token", "verify", "--config", file})
	root.SetIn(strings.NewReader(text))
	root.SetOut(&out)
	root.SetErr(&errOut)
	err = root.ExecuteContext(ctx)
	return out.String(), errOut.String(), err
}
