package config_test

import (
	"errors"
	"testing"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

// FuzzParse holds that every file is either a configuration or mistakes that each have a place in it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"",
		rule1,
		"listen: {grpc: 0.0.0.0:1, tls: {certFile: a, allowedClients: [b]}}",
		"policy: {data: {a: [1, .5, 0x10, .inf, ~, yes], ? [b] : c}, path: a/b}",
		"a: &a [*a]\n<<: *a\n",
		"request:\n  timeout: 5\n  maxBodyBytes: 1MiB\n",
		"---\na\n---\nb\n",
		"\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := config.Parse("f.yaml", data)
		if err == nil {
			if cfg.Listen.GRPC == (config.Address{}) || cfg.Request.Timeout <= 0 || cfg.Request.MaxBodyBytes <= 0 {
				t.Errorf("accepted %+v", cfg)
			}
			return
		}
		var mistakes config.Mistakes
		if !errors.As(err, &mistakes) || len(mistakes) == 0 {
			t.Fatalf("got %T, want config.Mistakes", err)
		}
		for _, m := range mistakes {
			if m.File != "f.yaml" || m.Line < 1 || m.Column < 1 || m.Message == "" {
				t.Errorf("no place or no text: %+v", m)
			}
		}
	})
}
