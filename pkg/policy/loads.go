package policy

import (
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

// loads are the counters behind [Loads].
type loads struct{ loaded, refused atomic.Uint64 }

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
		if status.Code != "" {
			c.store.engine.loads.refused.Add(1)
		}
	})
}
