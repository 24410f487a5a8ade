package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// A provider is the OpenID provider of hack/oidc, in a process of its own.
type provider struct {
	standing
	input  io.Writer
	output *output
}

// standing is what the provider says of itself.
type standing struct {
	Issuer string   `json:"issuer"`
	Kids   []string `json:"kids"` // published; the first signs
	ID     string   `json:"client_id"`
	Secret string   `json:"client_secret"`
}

// startProvider runs one with these keys.
func startProvider(t *testing.T, kids ...string) *provider {
	t.Helper()
	modules := providerModules(t)
	// Its input ends it, so the context of the test, which ends first, must not.
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, "node", "../../hack/oidc/server.mjs", modules)
	p := &provider{output: newOutput()}
	messages := newOutput()
	command.Stdout, command.Stderr = p.output, messages
	input, err := command.StdinPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		kill()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer time.AfterFunc(patience, kill).Stop()
		defer kill()
		input.Close()
		if err := command.Wait(); err != nil {
			t.Errorf("the provider: %v", err)
		}
		if t.Failed() {
			t.Logf("the provider wrote:\n%s", messages.tail())
		}
	})
	p.input = input
	p.publish(t, kids...)
	return p
}

// providerModules is what hack/test installed. Without it the test is skipped, and no CI passes.
func providerModules(t *testing.T) string {
	t.Helper()
	modules := os.Getenv("OIDC_PROVIDER")
	switch {
	case modules != "":
	case os.Getenv("CI") == "true":
		t.Fatal("OIDC_PROVIDER is not set: hack/test sets it")
	default:
		fmt.Fprintf(os.Stderr, "\n*** %s is NOT run: OIDC_PROVIDER is not set; hack/test sets it\n", t.Name())
		t.Skip("OIDC_PROVIDER is not set; hack/test sets it")
	}
	return modules
}

// publish makes these the provider's keys, and waits until they are. The first signs.
func (p *provider) publish(t *testing.T, kids ...string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.input, strings.Join(kids, " ")); err != nil {
		t.Fatal(err)
	}
	p.standing = await(t, p.output, func(s standing) bool { return slices.Equal(s.Kids, kids) })
}

// token asks for an access token with the client-credentials grant (RFC 6749, section 4.4).
func (p *provider) token(t *testing.T, audience string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {audience}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(p.ID, p.Secret)
	resp, err := http1().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Token string `json:"access_token"`
		Error string `json:"error_description"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.Token == "" {
		t.Fatalf("the provider gives no token: %d %s %v", resp.StatusCode, got.Error, err)
	}
	return got.Token
}
