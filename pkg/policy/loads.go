package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/plugins/bundle"
)

// Loads count what became of the policies that came since [New].
type Loads struct {
	Loaded  uint64 // and took the place of the one before
	Refused uint64 // not fetched, not signed as demanded, not read or not compiled; the one before stayed
}

// Loads counts. A bundle that cannot be had is counted each time it is tried.
func (e *Engine) Loads() Loads {
	e.opa.listen() // discovery may have brought the bundles
	return Loads{Loaded: e.loads.loaded.Load(), Refused: e.loads.refused.Load()}
}

// Trouble says what of the policy is not the newest, since that was refused: a bundle, by its name, or the
// files. It is nil where all is in force that there is.
func (e *Engine) Trouble() error {
	e.opa.listen()
	l := &e.loads
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []error
	for _, what := range slices.Sorted(maps.Keys(l.failures)) {
		all = append(all, fmt.Errorf("policy: %s refused, the old policy stays: %s", what, l.failures[what]))
	}
	return errors.Join(all...)
}

// loads are the counters behind [Loads], and what was refused last.
type loads struct {
	loaded, refused atomic.Uint64

	mu       sync.Mutex
	failures map[string]string // why, by what was refused
}

// tell notes what became of a bundle or of the files; "" is well.
func (l *loads) tell(what, failure string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if failure == "" {
		delete(l.failures, what)
		return
	}
	l.refused.Add(1)
	if l.failures == nil {
		l.failures = make(map[string]string)
	}
	l.failures[what] = failure
}

// listen counts the failures of OPA's bundle plugin, once there is one.
func (c *controlPlane) listen() {
	if c == nil {
		return
	}
	plugin := bundle.Lookup(c.manager)
	if plugin == nil || c.heard.Swap(plugin) == plugin {
		return
	}
	plugin.Register("sallyport", func(status bundle.Status) {
		failure := ""
		if status.Code != "" {
			failure = status.Message
		}
		c.store.engine.loads.tell("bundle "+status.Name, failure)
	})
}
