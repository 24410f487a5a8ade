package learn

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
)

// another is a value that nobody has.
const another = "another-3f1b"

func named(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// suppose asks the proposal about requests that nobody made, near to those that were allowed, and narrows
// what allows one that the recorded policy denies, until there is none. Rules only become narrower, so
// what was looked through stays good.
func (l *learner) suppose(ctx context.Context) error {
	if !l.trusts() {
		return nil // what another policy says is not the word of the record
	}
	for {
		breaches, err := l.supposed(ctx)
		if err != nil || len(breaches) == 0 {
			return err
		}
		if err := l.narrow(breaches); err != nil || l.stale {
			return err
		}
	}
}

// supposed are the breaches that are found around the profiles that are not done; those without any are.
func (l *learner) supposed(ctx context.Context) ([]breach, error) {
	made, names := data(l.all())
	proposal, err := l.Make(ctx, made)
	if err != nil {
		return nil, fmt.Errorf("learn: make the proposal: %w", err)
	}
	var out []breach
	for _, p := range l.profiles {
		if p.lost != "" || p.asked {
			continue
		}
		p.asked = true
		questions := l.questions(p)
		p.supposed = len(questions)
		for _, q := range questions {
			allowed, name := proposal.Decide(ctx, q.at, q.req, q.id)
			if !allowed {
				continue
			}
			if right, _ := l.Recorded.Decide(ctx, q.at, q.req, q.id); !right && names[name] != nil {
				out = append(out, breach{names[name].of[0], "as of " + p.samples[0].ID + ", changed", q.req, q.id})
				p.asked = false
			}
		}
		if err := ctx.Err(); err != nil {
			break
		}
	}
	if err := proposal.Close(); err != nil {
		return nil, fmt.Errorf("learn: %w", err)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("learn: %w", context.Cause(ctx))
	}
	return out, nil
}

// questions are requests on the paths of a profile, by those who made them, by them with something
// changed, by others, and by nobody.
func (l *learner) questions(p *profile) []question {
	var out []question
	whos := []*history.Record{{Tokens: nobody(p.samples[0])}}
	for _, name := range slices.Sorted(maps.Keys(l.seen.identities)) {
		whos = append(whos, l.seen.identities[name])
	}
	var ids []suspect
	for _, who := range whos {
		ids = append(ids, suspect{who.RemakeIdentity(), who.Source})
	}
	for _, s := range p.samples {
		ids = append(ids, changes(s)...)
	}
	for _, who := range ids {
		for _, path := range pathsOf(p, who.id)[:1] {
			out = append(out, ask(p.samples[0], path, who, nil))
		}
	}
	for _, s := range p.samples {
		for _, path := range pathsOf(p, s.RemakeIdentity()) {
			out = append(out, ask(s, path, suspect{s.RemakeIdentity(), s.Source}, nil))
		}
	}
	for _, s := range p.samples {
		for _, body := range bodies(s) {
			out = append(out, ask(s, s.Path, suspect{s.RemakeIdentity(), s.Source}, &body))
		}
	}
	return out
}

// A suspect is who might ask.
type suspect struct {
	id   authz.Identity
	from history.Peer
}

func nobody(r *history.Record) map[string]history.Token {
	out := map[string]history.Token{}
	for slot := range r.Tokens {
		out[slot] = history.Token{Status: authz.TokenMissing}
	}
	return out
}

// ask is the request of a sample, on another path, by another, with another body.
func ask(sample *history.Record, path string, who suspect, body *string) question {
	changed := *sample
	changed.Path, changed.Source = path, who.from
	q := question{at: sample.Time, req: changed.Remake(), id: who.id}
	if body != nil && q.req.HTTP != nil {
		q.req.HTTP.Body, q.req.HTTP.Size = *body, int64(len(*body))
		q.req.HTTP.Headers["content-type"] = []string{"application/json"}
	}
	return q
}

// pathsOf are some paths of a profile: with parameters that nobody used, one's own subject where a
// subject stands; then those that were, and with another's subject.
func pathsOf(p *profile, id authz.Identity) []string {
	if p.method == "" {
		return []string{""}
	}
	own := another
	if slots := p.caller.tokens(); len(slots) > 0 {
		if subject, ok := id.Tokens[slots[0]].Claims["sub"].(string); ok && !strings.Contains(subject, "/") {
			own = subject
		}
	}
	parameters := strings.ReplaceAll(p.path, anySegment, another)
	paths := []string{strings.ReplaceAll(parameters, ownSegment, own)}
	for _, s := range p.samples {
		paths = append(paths, s.Path)
	}
	return append(paths, strings.ReplaceAll(parameters, ownSegment, another), strings.ReplaceAll(strings.ReplaceAll(p.path, anySegment, "0"), ownSegment, own))
}

// changes are who made a request, each with one thing changed.
func changes(r *history.Record) []suspect {
	id := r.RemakeIdentity()
	out := []suspect{{id, r.Source}}
	for _, principal := range []string{"", "spiffe://" + another + "/x"} {
		from := r.Source
		from.Principal = principal
		out = append(out, suspect{id, from})
	}
	for slot, token := range id.Tokens {
		if token.Status != authz.TokenValid {
			continue
		}
		out = append(out, suspect{with(id, slot, authz.Token{Status: authz.TokenMissing}), r.Source})
		for name, value := range token.Claims {
			for _, changed := range changedClaims(value) {
				other := token
				other.Claims = maps.Clone(token.Claims)
				other.Claims[name] = changed
				out = append(out, suspect{with(id, slot, other), r.Source})
			}
		}
	}
	return out
}

func with(id authz.Identity, slot string, token authz.Token) authz.Identity {
	out := authz.Identity{Tokens: maps.Clone(id.Tokens)}
	out.Tokens[slot] = token
	return out
}

// changedClaims are a claim with another value, and without each of its words or items.
func changedClaims(value any) []any {
	out := []any{another}
	switch value := value.(type) {
	case string:
		words := strings.Fields(value)
		for i := range words {
			out = append(out, strings.Join(slices.Delete(slices.Clone(words), i, i+1), " "))
		}
	case []any:
		for i := range value {
			out = append(out, slices.Delete(slices.Clone(value), i, i+1))
		}
	case map[string]any:
		for name, member := range value {
			for _, changed := range changedClaims(member) {
				other := maps.Clone(value)
				other[name] = changed
				out = append(out, other)
			}
		}
	}
	return out
}

// bodies are that of a sample with one field changed, and none.
func bodies(r *history.Record) []string {
	body := map[string]any{}
	text := r.Body()
	if text == nil || decode(text, &body) != nil {
		return []string{`{"` + another + `":1}`}
	}
	out := []string{"{}"}
	for name, value := range body {
		others := []any{another, nil}
		if number, ok := value.(json.Number); ok {
			others = append(others, -1, 0, json.Number(number.String()+"000000"))
		}
		for _, other := range others {
			changed := maps.Clone(body)
			changed[name] = other
			if text, err := json.Marshal(changed); err == nil {
				out = append(out, string(text))
			}
		}
	}
	return out
}
