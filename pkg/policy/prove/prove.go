package prove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/policy"
)

// A Question asks whether any request is allowed for which a condition holds.
type Question struct {
	Program   *policy.Program
	Entry     ast.Ref // the rule that allows
	Condition ast.Ref // a rule that is true where the condition holds

	Slots    []string // of tokens: which there are
	Required []string // those of them without which no request comes to the policy

	FlagAmbiguousPaths   bool // they come to the policy
	SkipRequestBodyParse bool // the policy sees no body

	// Confirm tells whether the engine allows an example, and the condition holds for it.
	Confirm func(context.Context, Example) (bool, error)
}

// A Verdict is the answer to a question.
type Verdict string

// The verdicts.
const (
	Proved         Verdict = "PROVED"         // no request is allowed for which the condition holds
	Counterexample Verdict = "COUNTEREXAMPLE" // there is one
	Unknown        Verdict = "UNKNOWN"        // neither was found out
)

// A Result is a verdict and its ground.
type Result struct {
	Verdict   Verdict    `json:"verdict"`
	Example   *Example   `json:"example,omitempty"`   // of a counterexample
	Obstacles []Obstacle `json:"obstacles,omitempty"` // what stands in the way of a verdict
	Cases     int        `json:"cases"`               // paths that were looked at
}

// An Obstacle is a part of the policy, or of the condition, that is not understood well enough.
type Obstacle struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	Text string `json:"text,omitempty"` // the expression
	Why  string `json:"why"`
}

func (o *Obstacle) Error() string { return fmt.Sprintf("%s:%d: %s: %s", o.File, o.Line, o.Text, o.Why) }

// A prover answers one question.
type prover struct {
	*Question
	compiler  *ast.Compiler
	root      *ast.Term // data
	constants map[*ast.TreeNode]known
	vain      int // paths for which no request was found
}

// A run is one path: the evaluation of the condition and of the policy, with every question about the request
// that comes up decided one way.
type run struct {
	*prover
	ctx  context.Context //nolint:containedctx // a run is one evaluation, and ends with it
	path []bool          // how questions are decided
	at   int             // how many were asked

	input   *ast.Term
	symbols map[string]*symbol
	order   []*symbol
	atoms   map[string]atom
	values  map[*ast.TreeNode]known
	calls   map[string]known
	touched int // how often something unknown was looked at
	steps   int

	here  *ast.Location
	notes []Obstacle // where the path is wider than what requests do
}

const (
	maxObstacles = 5
	tries        = 200 // of requests for one path; where many were in vain
	fewTries     = 20
	inVain       = 3
)

// Ask answers the question. It ends with ctx; what it does not know by then it says.
func Ask(ctx context.Context, q *Question) (Result, error) {
	p := &prover{Question: q, compiler: q.Program.Compiler, root: ast.NewTerm(q.Program.Data), constants: map[*ast.TreeNode]known{}}
	var out Result
	var path []bool
	for {
		r := p.newRun(ctx, path)
		violated, err := r.violates()
		out.Cases++
		var obstacle *Obstacle
		switch {
		case ctx.Err() != nil:
			return out.unknown(Obstacle{Why: fmt.Sprintf("the time is over, after %d cases", out.Cases)}), nil //nolint:nilerr // that is an answer
		case errors.Is(err, errInfeasible):
		case errors.As(err, &obstacle):
			out.add(*obstacle)
		case err != nil:
			return Result{}, fmt.Errorf("prove: %w", err)
		case violated:
			example, err := r.example()
			if err != nil {
				return Result{}, err
			}
			if example != nil {
				return Result{Verdict: Counterexample, Example: example, Cases: out.Cases}, nil
			}
			p.vain++
			out.add(r.doubts()...)
		}
		if path = backtrack(r.path[:r.at]); path == nil {
			break
		}
	}
	if len(out.Obstacles) > 0 {
		out.Verdict = Unknown
		return out, nil
	}
	out.Verdict = Proved
	return out, nil
}

func (out Result) unknown(o Obstacle) Result {
	out.add(o)
	out.Verdict = Unknown
	return out
}

func (out *Result) add(found ...Obstacle) {
	for _, o := range found {
		if len(out.Obstacles) < maxObstacles && !slices.Contains(out.Obstacles, o) {
			out.Obstacles = append(out.Obstacles, o)
		}
	}
}

// backtrack is the next path: the last question that was answered yes is answered no. nil: there is none.
func backtrack(path []bool) []bool {
	for i, answer := range slices.Backward(path) {
		if answer {
			next := slices.Clone(path[:i+1])
			next[i] = false
			return next
		}
	}
	return nil
}

func (p *prover) newRun(ctx context.Context, path []bool) *run {
	r := &run{
		prover: p, ctx: ctx, path: path, symbols: map[string]*symbol{}, atoms: map[string]atom{},
		values: map[*ast.TreeNode]known{}, calls: map[string]known{},
	}
	r.input = r.symbol("input", p.inputShape()).term()
	return r
}

// violates tells whether the condition holds and the request is allowed.
func (r *run) violates() (bool, error) {
	holds, err := r.isTrue(r.Condition)
	if err != nil || !holds {
		return false, err
	}
	if holds, err = r.isTrue(r.Entry); err != nil || holds {
		return holds, err
	}
	return r.isTrue(r.Entry.Append(ast.StringTerm("allowed")))
}

func (r *run) isTrue(ref ast.Ref) (bool, error) {
	f := &frame{vars: map[ast.Var]*ast.Term{}}
	return r.found(r.ref(f, ref, func(value *ast.Term) error {
		same, err := r.equal(value, ast.BooleanTerm(true))
		if err != nil || !same {
			return err
		}
		return errFound
	}))
}

// step counts an expression, and ends the run when its time is over.
func (r *run) step() error {
	if r.steps++; r.steps%64 == 0 {
		return r.ctx.Err()
	}
	return nil
}

// obstacle is where a path ends because something is not understood.
func (r *run) obstacle(why string) error {
	o := r.place(why)
	return &o
}

// note says that from here on more is taken for possible than there is.
func (r *run) note(why string) { r.notes = append(r.notes, r.place(why)) }

func (r *run) place(why string) Obstacle {
	if r.here == nil {
		return Obstacle{Why: why}
	}
	line, _, _ := strings.Cut(string(r.here.Text), "\n")
	return Obstacle{File: r.here.File, Line: r.here.Row, Text: strings.TrimSpace(line), Why: why}
}

// doubts are why a path may be none that a request takes.
func (r *run) doubts() []Obstacle {
	if len(r.notes) > 0 {
		return r.notes
	}
	return []Obstacle{r.place("no request was found for a case that looks possible")}
}
