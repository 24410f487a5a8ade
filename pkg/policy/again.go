package policy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A Past is a decision as a record has it, to be made again.
type Past struct {
	Revision   string    // of the policy that made it
	Entrypoint string    // that was asked, such as data.envoy.authz.allow
	Time       time.Time // of the check: policies see it where Basis has no time
	Basis      authz.Basis
	Whole      bool // Basis.Input is all of the input, and not only what the policy read of it

	// Request and Identity are what the record has beside the input. A request without HTTP had none;
	// its headers and query are those that were kept, and its path has no query. The slots of tokens are
	// all there are, the claims those that were kept. Texts with masked parts are taken for unknown.
	Request  *authz.Request
	Identity authz.Identity
}

// A Replay makes decisions of the past again by another policy. Make it with NewReplay.
//
// It answers as the candidate would have answered the whole request, or not at all. A record holds what
// the recorded policy read, and a candidate may read more: then the answer is an [*Undecided], and no
// denial for want of what nobody recorded. What is missing matters only where an evaluation comes to it:
//
//  1. Which places the candidate can read is found from its rules (reads.go). Of each is asked whether
//     the record tells what was there: it is in the input and not masked; or the recorded policy read
//     that place, so that what is not in the input was not on the request; or the record has it beside
//     the input, such as the method (facts.go, beside.go).
//  2. Where all are known, the candidate is evaluated as a server does it.
//  3. Else it is evaluated under watch (mentions.go), without OPA's index of rules, which looks at the
//     input on its own: it ends at the first expression that mentions an unknown place. An evaluation
//     that fails under watch is undecided too, since the index may leave out the rule that failed.
//
// Builtins whose answers differ from call to call answer what was recorded, or the decision is undecided;
// none is asked, and nothing uses the network. The time is the recorded one.
//
// Its methods may be called concurrently.
type Replay struct {
	candidate *edition
	atRecords bool
	recorded  map[string]*edition // by revision

	making sync.Mutex
	views  map[viewKey]*view
	named  map[name]*snapshot
	kept   *store[remadeKey, remade]
}

// A ReplayConfig says what is replayed by what. The engines are [Config.Offline].
type ReplayConfig struct {
	Candidate *Engine

	// AtRecords asks the candidate at the entrypoint that each record names. Else its own configuration
	// says which, as far as a record tells what that depends on.
	AtRecords bool

	// Recorded are the policies that made the records. By what they read of a request a replay knows
	// what was not on it, so without them more is undecided. They must be exactly those policies: see
	// the revision.
	Recorded []*Engine

	// MemoBytes is the most memory that is taken to remember answers to the same input; 0 is 64 MiB.
	MemoBytes int
}

// Undecided is the error of a decision that its record does not tell enough for. Its texts hold names of
// the policy alone.
type Undecided struct {
	Missing []string // places of the input that were asked for and are not in the record
	Masked  []string // those that the record has masked
	Results []string // builtins of which the answer is not recorded
	Why     string   // what else it is
}

func (u *Undecided) Error() string {
	var why []string
	for _, part := range []struct {
		what  string
		names []string
	}{{"not recorded: ", u.Missing}, {"masked: ", u.Masked}, {"no recorded answer: ", u.Results}} {
		if len(part.names) > 0 {
			why = append(why, part.what+strings.Join(part.names, ", "))
		}
	}
	if u.Why != "" {
		why = append(why, u.Why)
	}
	return "policy: undecided: " + strings.Join(why, "; ")
}

// NewReplay makes a replay of policies that are loaded: see [Engine.Ready].
func NewReplay(config ReplayConfig) (*Replay, error) {
	r := &Replay{
		candidate: config.Candidate.current.Load(), atRecords: config.AtRecords,
		recorded: map[string]*edition{}, views: map[viewKey]*view{}, named: map[name]*snapshot{},
	}
	if r.candidate == nil {
		return nil, refuse(authz.NotReady, "replay: there is no candidate yet")
	}
	for _, e := range config.Recorded {
		current := e.current.Load()
		if current == nil {
			return nil, refuse(authz.NotReady, "replay: there is no recorded policy yet")
		}
		r.recorded[current.revision] = current
	}
	bytes := config.MemoBytes
	if bytes == 0 {
		bytes = 64 << 20
	}
	r.kept = newStore[remadeKey, remade](bytes, new(atomic.Uint64))
	return r, nil
}

// A remade is an answer that is remembered.
type remade struct {
	decision *authz.Decision
	err      error
}

// A remadeKey is a digest of all that an answer was made from.
type remadeKey [sha256.Size]byte

// Again decides again. The error is an [*Undecided], an [authz.Error] for a denial, as of
// [Engine.Decide], or says why nothing can be replayed. The Decision is shared and must not be changed.
func (r *Replay) Again(ctx context.Context, past *Past) (authz.Decision, error) {
	v, err := r.view(ctx, past)
	if err != nil {
		return authz.Decision{Revision: r.candidate.revision}, err
	}
	decision, err := v.again(ctx, r.kept, past)
	decision.Revision, decision.Entrypoint = r.candidate.revision, v.name
	return decision, err
}

// A view is the candidate, looked at with the eyes of a recorded policy.
type view struct {
	*snapshot
	*mentions
	number      int
	known       *part  // what the recorded policy read; nil: that is not known
	doubtful    []int  // reads of which that does not say all
	otherBodies bool   // the recorded policy saw bodies in another way
	barred      []bool // by call: no record has its answers
	drawn       bool   // some answers are another each time, and may be recorded
}

type viewKey struct {
	asked    *snapshot
	recorded *snapshot // nil: unknown
	whole    bool
}

// view finds the snapshots that are asked, and asked then.
func (r *Replay) view(ctx context.Context, past *Past) (*view, error) {
	r.making.Lock()
	defer r.making.Unlock()
	key := viewKey{whole: past.Whole}
	if of := r.recorded[past.Revision]; of != nil {
		var err error
		if key.recorded, err = r.at(ctx, of, past.Entrypoint); err != nil {
			return nil, err
		}
	}
	var err error
	if key.asked, err = r.choose(ctx, past); err != nil {
		return nil, err
	}
	if v := r.views[key]; v != nil {
		return v, nil
	}
	v := newView(key)
	v.number = len(r.views)
	r.views[key] = v
	return v, nil
}

func (r *Replay) choose(ctx context.Context, past *Past) (*snapshot, error) {
	if r.atRecords {
		return r.at(ctx, r.candidate, past.Entrypoint)
	}
	return r.candidate.chooseAgain(past, r.recorded[past.Revision])
}

// A name is that of an entrypoint.
type name struct {
	of *edition
	at string
}

// at is the snapshot of an entrypoint, which is made where no choice of the configuration has it.
func (r *Replay) at(ctx context.Context, e *edition, entrypoint string) (*snapshot, error) {
	for _, s := range e.snapshots {
		if s != nil && s.name == entrypoint {
			return s, nil
		}
	}
	key := name{e, entrypoint}
	if made := r.named[key]; made != nil {
		return made, nil
	}
	ref, err := ast.ParseRef(entrypoint)
	if err != nil || !e.base.exists(ctx, ref) {
		return nil, fmt.Errorf("policy: replay: the record was decided at %s, which is no rule of the policy %s", entrypoint, e.revision)
	}
	r.named[key], err = e.base.at(ctx, choice{ref: ref})
	return r.named[key], err
}

func newView(key viewKey) *view {
	v := &view{snapshot: key.asked, mentions: key.asked.findMentions()}
	switch {
	case key.whole:
		v.known = &part{whole: true}
	case key.recorded != nil:
		v.known = &key.recorded.reads.input
	}
	v.otherBodies = key.recorded != nil && !key.recorded.bodies.same(v.bodies)
	for n, r := range v.mentions.reads {
		if !v.known.covers(r) || v.otherBodies && r.ofBody() {
			v.doubtful = append(v.doubtful, n)
		}
	}
	for _, name := range v.calls {
		v.barred = append(v.barred, !isTimed(name) && !ast.BuiltinMap[name].Nondeterministic)
		v.drawn = v.drawn || !isTimed(name)
	}
	return v
}

// isTimed tells whether a builtin answers the same at the same time, and elsewhere.
func isTimed(builtin string) bool {
	return slices.Contains([]string{ast.NowNanos.Name, ast.JWTDecodeVerify.Name, ast.OPARuntime.Name}, builtin)
}

func (v *view) again(ctx context.Context, kept *store[remadeKey, remade], past *Past) (authz.Decision, error) {
	f := v.facts(past)
	key, once := f.key(v)
	if found, ok := kept.get(key.hash(), key); ok && !once {
		return *found.decision, found.err
	}
	decision, err := v.evaluateAgain(ctx, f, past)
	if ctx.Err() == nil && !once {
		copied, size := preserve(&decision)
		kept.put(key.hash(), key, remade{copied, err}, size)
	}
	return decision, err
}

// evaluateAgain evaluates as a server does where all that can be read is known, else under watch.
func (v *view) evaluateAgain(ctx context.Context, f *facts, past *Past) (authz.Decision, error) {
	if err := f.read(); err != nil {
		return authz.Decision{}, fmt.Errorf("policy: replay: read the record's input: %w", err)
	}
	now := past.Basis.Time
	if now.IsZero() {
		now = past.Time
	}
	results, err := recordedResults(past.Basis.Results)
	if err != nil {
		return authz.Decision{}, fmt.Errorf("policy: replay: read the record's nd_builtin_cache: %w", err)
	}
	had := entries(results)
	unknown, all := f.unknown(v)
	if all && !slices.Contains(v.barred, true) && !v.drawn {
		return v.answer(ctx, now, f.document(), results)
	}
	decision, err := v.watched(ctx, unknown, func(ctx context.Context, s *snapshot) (authz.Decision, error) {
		return s.answer(ctx, now, f.document(), results)
	})
	if u, ok := err.(*Undecided); ok { //nolint:errorlint // watched does not wrap it
		return decision, f.sort(u)
	}
	if fresh := entries(results) - had; err == nil && fresh > 0 && v.drawn {
		return authz.Decision{}, &Undecided{Results: v.drawing()}
	}
	return decision, err
}

// drawing lists the builtins that may have been asked.
func (v *view) drawing() []string {
	return slices.DeleteFunc(slices.Clone(v.calls), isTimed)
}

// watched evaluates with a tripwire.
func (v *view) watched(ctx context.Context, unknown []bool, evaluate func(context.Context, *snapshot) (authz.Decision, error)) (authz.Decision, error) {
	watched, stop := context.WithCancel(ctx)
	defer stop()
	wire := &tripwire{mentions: v.mentions, unknown: unknown, barred: v.barred, stop: stop}
	s := *v.snapshot
	s.limits.observer = observer{tracer: wire, everyRule: true}
	var decision authz.Decision
	var err error
	if wire.touch(&v.always); wire.tripped == nil {
		decision, err = evaluate(watched, &s)
	}
	switch {
	case ctx.Err() != nil:
		return authz.Decision{}, err
	case wire.tripped != nil:
		u := &Undecided{}
		for _, n := range wire.tripped.reads {
			u.Missing = append(u.Missing, v.mentions.reads[n].String())
		}
		for _, n := range wire.tripped.calls {
			u.Results = append(u.Results, v.calls[n])
		}
		return authz.Decision{}, u
	case err != nil && authz.ReasonOf(err) != authz.PolicyUndefined:
		return authz.Decision{}, &Undecided{Results: v.drawing(), Why: "the policy failed, which it may not do on the whole request: " + err.Error()}
	}
	return decision, err
}

func entries(results builtins.NDBCache) (n int) {
	for name, calls := range results {
		if !isTimed(name) {
			n += calls.Len()
		}
	}
	return n
}
