package policy

import (
	"fmt"

	"github.com/sallyport/sallyport/pkg/authz"
)

// tokens has an entry for every slot of the configuration. The text of a token is in none.
func (w writer) tokens(p *part, slots map[string]authz.Token) error {
	w.object()
	for _, name := range names(w.sheet, p, slots) {
		w.name(name)
		if err := w.slot(p.at(name), slots[name]); err != nil {
			return fmt.Errorf("%w of %s", err, name)
		}
	}
	w.end()
	return nil
}

func (w writer) slot(p *part, token authz.Token) error {
	w.object()
	w.textMember(p, "status", string(token.Status))
	if token.Status == authz.TokenValid {
		w.textMember(p, "issuer", token.Issuer)
		if err := w.shared(p, "claims", token.Claims); err != nil {
			return refuse(authz.Internal, "read token: a claim of no JSON type")
		}
		if err := w.shared(p, "header", token.Header); err != nil {
			return refuse(authz.Internal, "read token: a header of no JSON type")
		}
	}
	w.end()
	return nil
}

// shared writes a map that many checks have. Where all of it is read it stands aside.
func (w writer) shared(p *part, name string, value map[string]any) error {
	p = w.member(p, name)
	switch {
	case p == nil:
		return nil
	case !p.whole:
		return w.jsonObject(p, value)
	}
	a, err := w.asides.of(value)
	if err != nil {
		return err
	}
	w.aside(a)
	return nil
}
