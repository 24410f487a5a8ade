package policy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/policy"
)

func TestDocument(t *testing.T) {
	rego := filepath.Join(t.TempDir(), "a.rego")
	if err := os.WriteFile(rego, []byte("package a\n\nallow := false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := policy.New(t.Context(), policy.Config{
		Entrypoint: "a/allow", Files: []string{rego},
		Data: map[string]any{"lists": map[string]any{"revoked": []any{map[string]any{"jti": "x", "at": json.Number("9007199254740993")}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	document, version, err := e.Document(t.Context(), "lists", nil)
	want := map[string]any{"revoked": []any{map[string]any{"jti": "x", "at": json.Number("9007199254740993")}}}
	if diff := cmp.Diff(want, document); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if document, again, err := e.Document(t.Context(), "lists", version); document != nil || again != version || err != nil {
		t.Errorf("the second time: %v, %v", document, err)
	}
	for _, path := range []string{"absent", "a/allow", "lists/revoked/7"} {
		if document, _, err := e.Document(t.Context(), path, nil); err == nil {
			t.Errorf("%s: %v, want an error", path, document)
		}
	}
}
