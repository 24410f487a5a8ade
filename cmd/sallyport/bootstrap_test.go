package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/pkg/envoy/envoytest"
)

// Envoy accepts every file that users copy.
func TestEnvoyAcceptsBootstraps(t *testing.T) {
	binary := envoyBinary(t)
	dir := filepath.Join("..", "..", "deploy", "envoy")
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	certificates := newAuthority(t).files(t)
	for _, file := range files {
		if filepath.Ext(file.Name()) != ".yaml" {
			continue
		}
		t.Run(file.Name(), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(dir, file.Name()))
			if err != nil {
				t.Fatal(err)
			}
			o := envoytest.Options{Binary: binary, Config: fitting(t, binary, string(text)), Files: certificates}
			if err := envoytest.Validate(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("and not any text", func(t *testing.T) {
		o := envoytest.Options{Binary: binary, Config: "static_resources: {doors: []}"}
		if err := envoytest.Validate(t.Context(), o); err == nil {
			t.Error("Envoy accepts an unknown field")
		}
	})
}
