package learn

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/history"
	"github.com/sallyport/sallyport/pkg/history/replay"
)

// A profile is what the allowed requests of one route have in common.
type profile struct {
	route
	of   route  // without the signature, and as it was before it was split
	port uint32 // of a connection

	count       int
	samples     []*history.Record // the earliest of a few principals
	paths       set
	scopes      map[string]bool // that all have; nil before the first
	roles       map[string]int  // how many have each
	listed      map[string]int  // likewise, in the claim roles itself
	roleless    int
	subjects    set
	subjectless int
	principals  set
	claims      map[string]*column
	body        map[string]*column

	narrowed []step // how it was narrowed
	supposed int    // how many requests it was asked about that nobody made
	asked    bool   // about requests that were supposed, and allows none that it must not
	lost     string // why it was given up; "": it was not
}

// A set is the distinct texts that were seen, as long as there is room.
type set struct {
	values map[string]bool
	full   bool
}

func (s *set) add(value string, most int) {
	if s.values == nil {
		s.values = map[string]bool{}
	}
	if len(s.values) >= most && !s.values[value] {
		s.full = true
		return
	}
	s.values[value] = true
}

func (s *set) sorted() []string { return slices.Sorted(maps.Keys(s.values)) }

// A column is the values that one name had.
type column struct {
	count    int // of requests that had it
	worded   int // of those with a text
	texts    set
	numbers  int
	min, max json.Number
	least    float64
	most     float64
}

func (c *column) add(value any) {
	c.count++
	switch value := value.(type) {
	case string:
		c.worded++
		c.texts.add(value, maxValues)
	case json.Number:
		float, err := value.Float64()
		if err != nil {
			return
		}
		if c.numbers == 0 || float < c.least {
			c.min, c.least = value, float
		}
		if c.numbers == 0 || float > c.most {
			c.max, c.most = value, float
		}
		c.numbers++
	}
}

// seen is what the log has beside the profiles.
type seen struct {
	mu         *sync.Mutex
	found      map[route]*profile
	identities map[string]*history.Record // by principal
	denials    map[string]*history.Record // one of each pattern and principal
	roles      map[string]int             // of all allowed requests
}

func newSeen() seen {
	return seen{mu: new(sync.Mutex), found: map[route]*profile{}, identities: map[string]*history.Record{}, denials: map[string]*history.Record{}, roles: map[string]int{}}
}

// profile reads the log for what requests have in common.
func (l *learner) profile(ctx context.Context) error {
	if err := l.Read(ctx, func(r *history.Record) error { return l.note(ctx, r) }); err != nil {
		return err
	}
	for _, key := range slices.SortedFunc(maps.Keys(l.seen.found), compareRoutes) {
		l.profiles = append(l.profiles, l.seen.found[key])
	}
	return nil
}

func compareRoutes(a, b route) int {
	key := func(r route) string {
		return strings.Join([]string{r.path, r.method, r.caller.slots, map[bool]string{true: "certified"}[r.caller.certified], r.signature}, "\x00")
	}
	return strings.Compare(key(a), key(b))
}

// A sight is what a record is looked at for.
type sight struct {
	*history.Record
	base, key route
	token     authz.Token    // the first: conditions on claims are about it
	body      map[string]any // nil: none, or no object
}

func (l *learner) look(r *history.Record) *sight {
	s := &sight{Record: r, base: l.base(r)}
	if slots := s.base.caller.tokens(); len(slots) > 0 {
		s.token = r.RemakeIdentity().Tokens[slots[0]]
	}
	if text := r.Body(); text != nil && decode(text, &s.body) != nil {
		s.body = nil
	}
	s.key = l.key(s)
	return s
}

// note is called concurrently.
func (l *learner) note(ctx context.Context, r *history.Record) error {
	if r.Entrypoint == "" {
		return nil
	}
	like, err := l.reproduces(ctx, r)
	if err != nil {
		return err
	}
	s := l.look(r)
	l.seen.mu.Lock()
	defer l.seen.mu.Unlock()
	if !like {
		l.unlike++
	}
	if l.Recorded != nil && r.Revision != l.Recorded.Revision {
		l.elsewhere++
	}
	keep(l.seen.identities, r.Principal(), r, maxIdentities)
	switch {
	case unfit(r) != "": // verify counts it
	case !r.Allowed:
		keep(l.seen.denials, r.Pattern()+"\x00"+r.Principal(), r, maxCases)
	default:
		l.seen.add(s)
	}
	return nil
}

// add notes what was allowed, as long as there is room; verify lists what had none.
func (f *seen) add(s *sight) {
	p := f.found[s.key]
	if p == nil {
		if len(f.found) >= maxRules {
			return
		}
		p = &profile{
			route: s.key, of: s.base, port: s.Destination.Port,
			roles: map[string]int{}, listed: map[string]int{}, claims: map[string]*column{}, body: map[string]*column{},
		}
		f.found[s.key] = p
	}
	p.add(s)
	for role := range rolesOf(s.token.Claims) {
		f.roles[role]++
	}
}

// reproduces tells whether the recorded policy makes the decision again.
func (l *learner) reproduces(ctx context.Context, r *history.Record) (bool, error) {
	if l.Recorded == nil || !r.Allowed && !isDenial(r) {
		return true, nil
	}
	allowed, _, err := l.Recorded.Again(ctx, r)
	if _, undecided := errors.AsType[*replay.Undecided](err); undecided {
		return true, nil // the record does not say enough to contradict it
	}
	return allowed == r.Allowed, err
}

// keep keeps the earliest record of a name, as long as there is room.
func keep(in map[string]*history.Record, name string, r *history.Record, most int) {
	now := in[name]
	if now == nil && len(in) >= most || now != nil && !earlier(r, now) {
		return
	}
	kept := *r
	kept.Answer, kept.Results = history.Answer{}, nil
	in[name] = &kept
}

func earlier(a, b *history.Record) bool {
	if a.Time.Equal(b.Time) {
		return a.ID < b.ID
	}
	return a.Time.Before(b.Time)
}

// subjectOf is the subject of the token that conditions are about: the first.
func subjectOf(r *history.Record, who caller) string {
	if slots := who.tokens(); len(slots) > 0 {
		return r.Tokens[slots[0]].Subject
	}
	return ""
}

func (p *profile) add(s *sight) {
	p.count++
	p.sample(s.Record)
	p.paths.add(strings.Join(segmentsOf(s.Record), "/"), maxPaths)
	if s.Source.Principal != "" {
		p.principals.add(s.Source.Principal, maxSubjects)
	}
	if s.token.Status == authz.TokenValid {
		p.token(s.token)
	}
	for name, value := range s.body {
		columnOf(p.body, name).add(value)
	}
}

// sample keeps the earliest of a few principals.
func (p *profile) sample(r *history.Record) {
	const most = 5
	for i, s := range p.samples {
		if s.Principal() == r.Principal() {
			if earlier(r, s) {
				p.samples[i] = r
			}
			return
		}
	}
	if len(p.samples) < most {
		p.samples = append(p.samples, r)
	}
}

func (p *profile) token(token authz.Token) {
	granted := scopesOf(token.Claims)
	if p.scopes == nil {
		p.scopes = granted
	}
	maps.DeleteFunc(p.scopes, func(scope string, _ bool) bool { return !granted[scope] })
	held := rolesOf(token.Claims)
	if len(held) == 0 {
		p.roleless++
	}
	for role := range held {
		p.roles[role]++
	}
	for role := range rolesOf(map[string]any{"roles": token.Claims["roles"]}) {
		p.listed[role]++
	}
	if subject, ok := token.Claims["sub"].(string); ok {
		p.subjects.add(subject, maxSubjects)
	} else {
		p.subjectless++
	}
	for name, value := range token.Claims {
		if !slices.Contains(fleeting, name) {
			columnOf(p.claims, name).add(value)
		}
	}
}

// fleeting are claims that say nothing of who asks, or have conditions of their own.
var fleeting = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "auth_time", "sid", "nonce", "at_hash", "scope", "scp", "roles"}

func columnOf(in map[string]*column, name string) *column {
	const most = 50
	c := in[name]
	if c == nil {
		c = &column{}
		if len(in) < most {
			in[name] = c
		}
	}
	return c
}

func decode(text json.RawMessage, to any) error {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	return decoder.Decode(to)
}

// scopesOf are what data.sallyport.scopes takes for the scopes of a token.
func scopesOf(claims map[string]any) map[string]bool {
	out := map[string]bool{}
	for _, name := range []string{"scope", "scp"} {
		switch value := claims[name].(type) {
		case string:
			for scope := range strings.SplitSeq(value, " ") {
				if scope != "" {
					out[scope] = true
				}
			}
		case []any:
			addTexts(out, value)
		}
	}
	return out
}

// rolesOf are what data.sallyport.roles takes for the roles of a token.
func rolesOf(claims map[string]any) map[string]bool {
	out := map[string]bool{}
	realm, _ := claims["realm_access"].(map[string]any)
	for _, value := range []any{claims["roles"], realm["roles"]} {
		switch value := value.(type) {
		case string:
			out[value] = true
		case []any:
			addTexts(out, value)
		}
	}
	delete(out, "")
	return out
}

func addTexts(to map[string]bool, items []any) {
	for _, item := range items {
		if text, ok := item.(string); ok && text != "" {
			to[text] = true
		}
	}
}
