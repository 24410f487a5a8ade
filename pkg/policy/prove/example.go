package prove

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
)

// An Example is a request with its tokens, in the form of a request case (policies/TESTING.md).
type Example struct {
	Request Request           `json:"request"`
	Tokens  map[string]*Token `json:"tokens,omitempty"` // a slot that is nil has none
}

// A Request is that of an example.
type Request struct {
	Network     bool              `json:"network,omitempty"`
	Method      string            `json:"method,omitempty"`
	Scheme      string            `json:"scheme,omitempty"`
	Host        string            `json:"host,omitempty"`
	Path        string            `json:"path,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	JSON        any               `json:"json,omitempty"`
	Truncated   bool              `json:"truncated,omitempty"`
	Source      *Peer             `json:"source,omitempty"`
	Destination *Peer             `json:"destination,omitempty"`
	SNI         string            `json:"sni,omitempty"`
	Extensions  map[string]string `json:"context_extensions,omitempty"`
	Metadata    map[string]any    `json:"metadata_context,omitempty"`
	Route       map[string]any    `json:"route_metadata_context,omitempty"`
	Time        string            `json:"time,omitempty"`
}

// A Peer is an end of the connection.
type Peer struct {
	Principal string `json:"principal,omitempty"`
	Address   string `json:"address,omitempty"`
	Port      int    `json:"port,omitempty"`
}

// A Token is what a verified token says.
type Token struct {
	Claims map[string]any `json:"claims"`
	Header map[string]any `json:"header,omitempty"`
	Issuer string         `json:"issuer,omitempty"`
}

// example looks for a request that takes this path, and that the engine confirms; nil: none was found.
func (r *run) example() (*Example, error) {
	if r.Confirm == nil {
		return nil, nil
	}
	seen := map[string]bool{}
	most := tries
	if r.vain >= inVain {
		most = fewTries
	}
	for i := range most {
		b := &builder{run: r, random: rand.New(rand.NewPCG(uint64(i), 1)), first: i == 0, chosen: map[*symbol]any{}} //nolint:gosec // the same examples each time
		e := b.build()
		text, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("prove: an example: %w", err)
		}
		if seen[string(text)] {
			continue
		}
		seen[string(text)] = true
		ok, err := r.Confirm(r.ctx, e)
		if err != nil {
			return nil, err
		}
		if ok {
			return r.shrink(e)
		}
		if r.ctx.Err() != nil {
			break
		}
	}
	return nil, nil //nolint:nilnil,nilerr // none was found, which is no error
}

// shrink takes out of an example what it does not need.
func (r *run) shrink(e Example) (*Example, error) {
	try := func(change func(*Example)) error {
		raw, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("prove: an example: %w", err)
		}
		var smaller Example
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&smaller); err != nil {
			return fmt.Errorf("prove: an example: %w", err)
		}
		change(&smaller)
		ok, err := r.Confirm(r.ctx, smaller)
		if ok {
			e = smaller
		}
		return err
	}
	for _, change := range omissions(e) {
		if err := try(change); err != nil {
			return nil, err
		}
	}
	return &e, nil
}

// omissions take something out of an example, each of its own. The last one does nothing: what is asked
// about last is what is shown.
func omissions(e Example) []func(*Example) {
	var changes []func(*Example)
	for _, slot := range slices.Sorted(maps.Keys(e.Tokens)) {
		changes = append(changes, func(e *Example) { e.Tokens[slot] = nil })
		for _, name := range slices.Sorted(maps.Keys(claimsOf(e.Tokens[slot]))) {
			changes = append(changes, func(e *Example) { delete(claimsOf(e.Tokens[slot]), name) })
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Request.Headers)) {
		changes = append(changes, func(e *Example) { delete(e.Request.Headers, name) })
	}
	return append(changes,
		func(e *Example) { e.Request.JSON = nil },
		func(e *Example) { e.Request.Source = nil },
		func(e *Example) { e.Request.Destination = nil },
		func(e *Example) { e.Request.Extensions = nil },
		func(e *Example) { e.Request.Time = "" },
		func(e *Example) { e.Request.Method = "" },
		func(*Example) {},
	)
}

func claimsOf(t *Token) map[string]any {
	if t == nil {
		return nil
	}
	return t.Claims
}
