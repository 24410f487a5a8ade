package policy

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/pkg/authz"
)

// TestPreserve copies a decision that has everything. Nothing that can be changed is shared, and
// no list has room to grow. A new field of a decision must be copied as well.
func TestPreserve(t *testing.T) {
	headers := []authz.Header{{Name: "a", Value: "b"}, {Name: "c", Value: "d"}}
	d := authz.Decision{
		Allowed: true, Reason: authz.Allowed, Detail: "detail", ID: "id", Revision: "r1",
		Upstream: authz.Mutation{
			SetHeaders: headers, RemoveHeaders: []string{"e"},
			SetQuery: []authz.Parameter{{Name: "f", Value: "g"}}, RemoveQuery: []string{"h"},
		},
		Response: headers[:1], Status: 401, Body: "body", Denial: headers, Scopes: []string{"s"},
		StepUp:   &authz.StepUp{ACRValues: []string{"acr"}, MaxAge: new(5)},
		Metadata: map[string]any{"a": []any{1.5, "x", nil}, "b": map[string]any{"c": true}},
	}
	kept, size := preserve(&d)
	if diff := cmp.Diff(d, *kept); diff != "" {
		t.Errorf("the copy (-want +got):\n%s", diff)
	}
	if size < decisionBytes {
		t.Errorf("size %d", size)
	}
	apart(t, "Decision", reflect.ValueOf(d), reflect.ValueOf(*kept))
	var none authz.Decision
	if kept, _ := preserve(&none); !reflect.DeepEqual(none, *kept) {
		t.Errorf("of nothing: %+v", kept)
	}
}

// apart walks two values that are equal.
func apart(t *testing.T, at string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			apart(t, at+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
		return
	case reflect.Interface:
		if !a.IsNil() {
			apart(t, at, a.Elem(), b.Elem())
		}
		return
	case reflect.Slice:
		if b.Cap() != b.Len() {
			t.Errorf("%s has room to grow", at)
		}
		for i := range a.Len() {
			apart(t, at, a.Index(i), b.Index(i))
		}
	case reflect.Map:
		for _, key := range a.MapKeys() {
			apart(t, at, a.MapIndex(key), b.MapIndex(key))
		}
	case reflect.Pointer:
		apart(t, at, a.Elem(), b.Elem())
	default:
		if a.IsZero() {
			t.Errorf("give %s a value here", at)
		}
		return
	}
	if a.IsZero() || a.Pointer() == b.Pointer() {
		t.Errorf("%s is shared, or has no value here", at)
	}
}
