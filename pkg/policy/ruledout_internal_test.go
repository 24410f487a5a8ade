package policy

import (
	"testing"

	"github.com/sallyport/sallyport/policies"
)

func TestTimeIsReadWhereARouteAsks(t *testing.T) {
	for name, tt := range map[string]struct {
		route map[string]any
		want  bool
	}{
		"none":    {map[string]any{"path": "/a", "public": true}, false},
		"max_age": {map[string]any{"path": "/a", "tokens": []string{"users"}, "max_age": "15m"}, true},
	} {
		e, err := New(t.Context(), Config{Default: policies.FS, Data: map[string]any{"routes": []any{tt.route}}})
		if err != nil {
			t.Fatal(err)
		}
		reads := e.current.Load().snapshots[0].reads
		got := reads.input.at("attributes").at("request").at("time") != nil
		if got != tt.want || !reads.deterministic {
			t.Errorf("%s: time read %v, want %v; deterministic %v", name, got, tt.want, reads.deterministic)
		}
	}
}
