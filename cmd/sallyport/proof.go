package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/pkg/policy/prove"
	"github.com/sallyport/sallyport/policies"
)

// defaultProofTime bounds the search for one condition, where nobody says otherwise.
const defaultProofTime = 30 * time.Second

// A prover proves conditions of one policy.
type prover struct {
	config   policy.Config
	runner   casefile.Runner   // without its Decider
	required []string          // slots without which a request does not come to the policy
	carriers map[string]string // by slot, the header that carries the token, up to the token
	timeout  time.Duration
}

// A claim is a condition for which no request may be allowed.
type claim struct {
	Note  string `json:"note,omitempty"`
	Never string `json:"never"`
	file  string
	line  int
}

// A proof is what became of a claim.
type proof struct {
	claim
	prove.Result
	Slots      []string      `json:"slots"`
	Entrypoint string        `json:"entrypoint"`
	Took       time.Duration `json:"duration"`
	Case       string        `json:"case,omitempty"` // the counterexample as a request case
	Curl       string        `json:"curl,omitempty"`
	Rules      []policy.Rule `json:"rules,omitempty"` // that were tried for it
}

// prove answers one claim.
func (p *prover) prove(ctx context.Context, c claim) (*proof, error) {
	if len(p.config.Entrypoints) > 0 {
		return nil, usageError{errors.New("the configuration has several entrypoints; --path says which is meant")}
	}
	start := time.Now()
	asking, program, err := p.compile(ctx, c)
	if err != nil {
		return nil, err
	}
	q := &prove.Question{
		Program: program, Entry: program.Entrypoints[0], Condition: prove.Rule(),
		Slots: p.runner.Slots, Required: p.required,
		FlagAmbiguousPaths: p.runner.FlagAmbiguousPaths, SkipRequestBodyParse: p.config.SkipRequestBodyParse,
	}
	if p.runner.Suppose == nil && len(q.Slots) == 0 {
		q.Slots = prove.SlotsOf(program)
	}
	out := &proof{claim: c, Slots: q.Slots, Entrypoint: q.Entry.String()}
	asker := &confirmer{prover: p, asking: asking, slots: q.Slots}
	defer asker.close()
	q.Confirm = asker.confirm
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if out.Result, err = prove.Ask(ctx, q); err != nil {
		return nil, err
	}
	if out.Example != nil {
		out.Case, out.Rules = asker.text, fired(asker.last().Rules)
		out.Curl = curlLine(out.Example, p.carriers)
	}
	out.Took = time.Since(start)
	return out, nil
}

// compile is the policy with the condition beside it.
func (p *prover) compile(ctx context.Context, c claim) (policy.Config, *policy.Program, error) {
	condition := prove.Condition{Text: c.Never, Line: c.line, Entrypoint: p.config.Entrypoint, Library: libraryPackages()}
	if condition.Entrypoint == "" {
		condition.Entrypoint = "envoy/authz/allow"
	}
	with := p.config
	with.Modules = map[string]string{c.file: condition.Module()}
	maps.Copy(with.Modules, p.config.Modules)
	program, err := policy.Compile(ctx, with)
	return with, program, err
}

// libraryPackages are the folders of the library.
func libraryPackages() []string {
	var names []string
	found, err := fs.ReadDir(policies.Library, "sallyport")
	if err != nil {
		return nil
	}
	for _, entry := range found {
		names = append(names, "sallyport/"+entry.Name())
	}
	return names
}

// fired are the rules that held.
func fired(rules []policy.Rule) []policy.Rule {
	return slices.DeleteFunc(rules, func(r policy.Rule) bool { return r.Outcome != policy.Fired })
}

// A confirmer asks the engine about examples. Where there is none to ask about it starts none.
type confirmer struct {
	*prover
	asking policy.Config // the policy with the condition beside it
	slots  []string

	asked     *explainer     // the policy
	condition *policy.Engine // the condition
	identity  authz.Identity
	text      string // of the last example that was confirmed, as a case
}

func (c *confirmer) start(ctx context.Context) error {
	if c.asked != nil {
		return nil
	}
	asking := c.asking
	asking.Entrypoint = prove.ConditionPath
	engine, err := policy.New(ctx, c.config)
	if err != nil {
		return err
	}
	if c.condition, err = policy.New(ctx, asking); err != nil {
		return errors.Join(err, engine.Close())
	}
	c.asked = &explainer{engine: engine}
	return nil
}

func (c *confirmer) close() {
	if c.asked != nil {
		_ = errors.Join(c.asked.engine.Close(), c.condition.Close()) // they fetch nothing that could be lost
	}
}

// last explains the last example that was confirmed.
func (c *confirmer) last() policy.Explanation { return c.asked.last }

// line is what a request goes through, up to a decider.
func (c *confirmer) line(decider authz.Decider) casefile.Runner {
	runner := c.runner
	runner.Slots, runner.Decider, runner.Recorder = c.slots, decider, c
	return runner
}

// Record implements [authz.Recorder]: it keeps who was taken to ask.
func (c *confirmer) Record(_ context.Context, record *authz.Record) error {
	c.identity = record.Identity
	return nil
}

// confirm tells whether a request is allowed and the condition holds for it. It is asked as it will be shown.
func (c *confirmer) confirm(ctx context.Context, e prove.Example) (bool, error) {
	if err := c.start(ctx); err != nil {
		return false, err
	}
	text, err := caseOf(e)
	if err != nil {
		return false, err
	}
	file, err := casefile.Parse("example", []byte("cases:\n"+text))
	if err != nil {
		return false, nil //nolint:nilerr // no request that a client could send
	}
	asked := file.Cases[0]
	if !c.line(c.asked.engine).Answer(ctx, asked.Request, asked.Tokens).Allowed {
		return false, nil
	}
	holds, err := c.condition.Decide(ctx, asked.Request, c.identity)
	if err != nil || !holds.Allowed {
		return false, nil //nolint:nilerr // a condition that cannot be evaluated does not hold
	}
	c.text = text
	c.line(c.asked).Answer(ctx, asked.Request, asked.Tokens)
	return true, nil
}

// caseOf writes an example as a request case.
func caseOf(e prove.Example) (string, error) {
	type expected struct {
		Allowed bool `json:"allowed"`
	}
	return asYAML([]any{struct {
		Note    string                  `json:"note"`
		Request prove.Request           `json:"request"`
		Tokens  map[string]*prove.Token `json:"tokens,omitempty"`
		Expect  expected                `json:"expect"`
	}{"a counterexample", e.Request, e.Tokens, expected{true}}})
}

// asYAML writes what JSON says in YAML.
func asYAML(v any) (string, error) {
	raw, err := jsonText(v)
	if err != nil {
		return "", err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(raw, &node); err != nil {
		return "", fmt.Errorf("write YAML: %w", err)
	}
	plainStyle(&node)
	var out strings.Builder
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return "", fmt.Errorf("write YAML: %w", err)
	}
	return out.String(), nil
}

// plainStyle takes back the braces and quotes of JSON, but for the braces of what is empty.
func plainStyle(node *yaml.Node) {
	if len(node.Content) > 0 || node.Kind == yaml.ScalarNode {
		node.Style = 0
	}
	for _, child := range node.Content {
		plainStyle(child)
	}
}
