package policy

import (
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
)

// Bytes in memory: of a decision, of a value in an interface, and of a map and its members.
const (
	decisionBytes = 512
	boxBytes      = 32
	mapBytes      = 384
	memberBytes   = 96
)

// A preserver copies a decision to keep it, and adds up the memory of the copy. Its texts are
// copied too, since they may be parts of a long one, and its lists have no room to grow, so that
// who appends to one leaves the copy alone.
type preserver struct{ bytes int }

func preserve(d *authz.Decision) (*authz.Decision, int) {
	p := preserver{bytes: decisionBytes}
	kept := *d
	kept.Detail, kept.Body = p.text(d.Detail), p.text(d.Body)
	kept.Upstream = authz.Mutation{
		SetHeaders: each(&p, d.Upstream.SetHeaders, p.header), RemoveHeaders: each(&p, d.Upstream.RemoveHeaders, p.text),
		SetQuery: each(&p, d.Upstream.SetQuery, p.parameter), RemoveQuery: each(&p, d.Upstream.RemoveQuery, p.text),
	}
	kept.Response, kept.Denial = each(&p, d.Response, p.header), each(&p, d.Denial, p.header)
	kept.Scopes = each(&p, d.Scopes, p.text)
	if d.StepUp != nil {
		kept.StepUp = &authz.StepUp{ACRValues: each(&p, d.StepUp.ACRValues, p.text)}
		if d.StepUp.MaxAge != nil {
			kept.StepUp.MaxAge = new(*d.StepUp.MaxAge)
		}
		p.bytes += 2 * boxBytes
	}
	kept.Metadata = p.object(d.Metadata)
	return &kept, p.bytes
}

func each[T any](p *preserver, from []T, preserve func(T) T) []T {
	if from == nil {
		return nil
	}
	kept := make([]T, len(from))
	for i, item := range from {
		kept[i] = preserve(item)
		p.bytes += boxBytes
	}
	return kept
}

func (p *preserver) text(s string) string {
	p.bytes += len(s) + len(s)/8 + 16 // the allocator's size classes are at most an eighth apart
	return strings.Clone(s)
}

func (p *preserver) header(h authz.Header) authz.Header {
	return authz.Header{Name: p.text(h.Name), Value: p.text(h.Value)}
}

func (p *preserver) parameter(q authz.Parameter) authz.Parameter {
	return authz.Parameter{Name: p.text(q.Name), Value: p.text(q.Value)}
}

func (p *preserver) object(from map[string]any) map[string]any {
	if from == nil {
		return nil
	}
	kept := make(map[string]any, len(from))
	p.bytes += mapBytes + memberBytes*max(0, len(from)-8)
	for name, value := range from {
		kept[p.text(name)] = p.value(value)
	}
	return kept
}

// value copies what [plain] makes.
func (p *preserver) value(v any) any {
	p.bytes += boxBytes
	switch v := v.(type) {
	case string:
		return p.text(v)
	case []any:
		return each(p, v, p.value)
	case map[string]any:
		return p.object(v)
	}
	return v
}
