package policy

import (
	"context"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// Document is what the policy's data holds at a path such as a/b, for who must know it outside of a
// decision. Rules are not asked. version is comparable, and another where the data may have changed:
// where it is last, the document is not read and nil. Before the first policy both are nil.
func (e *Engine) Document(ctx context.Context, path string, last any) (document, version any, err error) {
	current := e.current.Load()
	switch {
	case current == nil:
		return nil, nil, nil
	case last == any(current):
		return nil, current, nil
	}
	at, ok := storage.ParsePath("/" + strings.Trim(path, "/"))
	if !ok {
		return nil, nil, fmt.Errorf("policy: %q is no path", path)
	}
	value, err := current.base.store.Read(ctx, current.base.txn, at)
	if err != nil {
		return nil, nil, fmt.Errorf("policy: read data at %q: %w", path, err)
	}
	if term, isTerm := value.(ast.Value); isTerm {
		if value, err = ast.JSON(term); err != nil {
			return nil, nil, fmt.Errorf("policy: read data at %q: %w", path, err)
		}
	}
	return value, current, nil
}
