package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

// A suite is everything that one run of tests needs.
type suite struct {
	paths   []string // where tests are looked for
	config  policy.Config
	runner  casefile.Runner // without its Decider
	slots   bool            // the configuration names them
	run1    *regexp.Regexp
	filter  string
	verbose bool

	clock   clock
	printed prints
}

// A testResult is what became of one test, in the form of "opa test --format json".
type testResult struct {
	Location    location              `json:"location"`
	Package     string                `json:"package"` // of a request case: its file
	Name        string                `json:"name"`
	Fail        bool                  `json:"fail,omitempty"`
	Skip        bool                  `json:"skip,omitempty"`
	Error       *testError            `json:"error,omitempty"`
	Duration    time.Duration         `json:"duration"`
	Output      []byte                `json:"output,omitempty"` // of print()
	Cases       []string              `json:"failed_cases,omitempty"`
	FailedAt    *policy.Place         `json:"failed_at,omitempty"`
	Differences []casefile.Difference `json:"differences,omitempty"`
	Detail      string                `json:"detail,omitempty"` // why a case that failed was decided so
	Rules       []policy.Rule         `json:"rules,omitempty"`
}

type location struct {
	File string `json:"file"`
	Row  int    `json:"row"`
	Col  int    `json:"col"`
}

type testError struct {
	Message string `json:"message"`
}

// testResults are those of a run.
type testResults struct {
	tests    []testResult
	coverage *policy.CoverageReport
}

func newSuite(args []string, flags testFlags) (*suite, error) {
	s := &suite{paths: args, filter: flags.run, verbose: flags.verbose}
	var err error
	if s.run1, err = regexp.Compile(flags.run); err != nil {
		return nil, err
	}
	if flags.config == "" {
		s.config = policy.Config{Files: policyFiles(args), Default: policies.FS}
	} else if err := s.configure(flags.config); err != nil {
		return nil, err
	}
	if flags.path != "" {
		s.config.Entrypoint, s.config.Entrypoints = flags.path, nil
	}
	if flags.coverage {
		s.config.Coverage = policy.NewCoverage()
	}
	s.config.Print, s.config.Now = &s.printed, s.clock.now
	return s, nil
}

func (s *suite) configure(file string) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	s.config = policyConfig(cfg, slog.New(slog.DiscardHandler))
	s.runner = statedRunner(cfg)
	s.slots = true
	if len(s.paths) == 0 {
		s.paths = cfg.Policy.Files
	}
	return nil
}

// statedRunner is the line of a configuration, but for the verification of tokens.
func statedRunner(cfg *config.Config) casefile.Runner {
	r := casefile.Runner{
		FlagAmbiguousPaths: cfg.Request.AmbiguousPaths == config.FlagAmbiguousPaths,
		Challenge:          authz.Challenge{Realm: cfg.JWT.Realm, ResourceMetadata: cfg.JWT.ResourceMetadata},
	}
	for _, rule := range cfg.JWT.Rules {
		r.Slots = append(r.Slots, casefile.Slot{Name: rule.Name, Required: rule.Required})
	}
	return r
}

// policyFiles are the arguments that hold a policy: all but single files of tests.
func policyFiles(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(name string) bool {
		return casefile.IsFile(name) || strings.HasSuffix(name, "_test.rego")
	})
}

func (s *suite) run(ctx context.Context) (testResults, error) {
	files, err := s.caseFiles()
	if err != nil {
		return testResults{}, err
	}
	var out testResults
	if out.tests, err = s.regoTests(ctx); err != nil {
		return testResults{}, err
	}
	cases, err := s.caseTests(ctx, files)
	if err != nil {
		return testResults{}, err
	}
	out.tests = append(out.tests, cases...)
	switch {
	case len(out.tests) == 0 && s.filter != "":
		return testResults{}, fmt.Errorf("no test matches %q", s.filter)
	case len(out.tests) == 0:
		return testResults{}, fmt.Errorf("no test in %s: neither test_ rules in _test.rego files nor .cases.yaml files", cmp.Or(strings.Join(s.paths, ", "), "policy.files"))
	}
	if s.config.Coverage != nil {
		report, err := s.config.Coverage.Report(s.config)
		if err != nil {
			return testResults{}, err
		}
		out.coverage = &report
	}
	return out, nil
}

func (s *suite) regoTests(ctx context.Context) ([]testResult, error) {
	found, err := policy.Test(ctx, s.config, s.paths, s.filter)
	if err != nil {
		return nil, err
	}
	out := make([]testResult, len(found))
	for i, t := range found {
		out[i] = testResult{
			Location: location{t.File, t.Line, 1}, Package: t.Package, Name: t.Name, Skip: t.Skipped, Duration: t.Duration,
			Fail: !t.Passed && !t.Skipped && t.Err == nil, Output: []byte(t.Printed), Cases: t.Cases, FailedAt: t.FailedAt,
		}
		if t.Err != nil {
			out[i].Error = &testError{t.Err.Error()}
		}
	}
	return out, nil
}

// caseFiles reads every file of cases; what is wrong with any is said at once.
func (s *suite) caseFiles() ([]*casefile.File, error) {
	var out []*casefile.File
	var errs []error
	var mistakes casefile.Mistakes
	for _, name := range s.paths {
		names, err := casesBelow(name)
		errs = append(errs, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			file, err := casefile.Parse(name, text)
			if found, ok := errors.AsType[casefile.Mistakes](err); ok {
				mistakes = append(mistakes, found...)
			}
			out = append(out, file)
		}
	}
	if len(mistakes) > 0 {
		return nil, mistakes
	}
	return out, errors.Join(errs...)
}

// casesBelow lists the files of cases, as the policy's files are found: names with a leading dot are
// left out, links are followed.
func casesBelow(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if casefile.IsFile(name) {
			return []string{name}, nil
		}
		return nil, nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		below, err := casesBelow(filepath.Join(name, entry.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, below...)
	}
	return out, nil
}

func (s *suite) caseTests(ctx context.Context, files []*casefile.File) ([]testResult, error) {
	var out []testResult
	var shared *policy.Engine
	for _, file := range files {
		own := file.Path != "" || len(file.Data) > 0
		engine := shared
		if own || shared == nil {
			var err error
			if engine, err = s.engine(ctx, file); err != nil {
				return nil, fmt.Errorf("%s: %w", file.Name, err)
			}
			defer engine.Close() //nolint:revive // a handful, closed with the run
		}
		if !own {
			shared = engine
		}
		out = append(out, s.ask(ctx, engine, file)...)
	}
	return out, nil
}

// engine is the policy as a file of cases sees it.
func (s *suite) engine(ctx context.Context, file *casefile.File) (*policy.Engine, error) {
	changed := s.config
	if file.Path != "" {
		changed.Entrypoint, changed.Entrypoints = file.Path, nil
	}
	if len(file.Data) > 0 {
		changed.Data = map[string]any{}
		maps.Copy(changed.Data, s.config.Data)
		maps.Copy(changed.Data, file.Data)
	}
	engine, err := policy.New(ctx, changed)
	if err != nil {
		return nil, err
	}
	if err := awaitPolicy(ctx, engine); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return engine, nil
}

// awaitPolicy waits for the bundles that a configuration names.
func awaitPolicy(ctx context.Context, engine *policy.Engine) error {
	ctx, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := engine.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// ask runs the cases of a file that the filter lets through.
func (s *suite) ask(ctx context.Context, engine *policy.Engine, file *casefile.File) []testResult {
	runner := s.runner
	if !s.slots {
		runner.Slots = casefile.SlotsOf(file)
	}
	var out []testResult
	for _, c := range file.Cases {
		if !s.run1.MatchString(c.Note) {
			continue
		}
		s.clock.set(c.Now)
		s.printed.take()
		runner.Decider = engine
		result := runner.Run(ctx, c)
		t := testResult{
			Location: location{file.Name, c.Line, 1}, Package: file.Name, Name: c.Note, Duration: result.Duration,
			Fail: len(result.Differences) > 0, Differences: result.Differences, Output: s.printed.take(),
		}
		if t.Fail {
			t.Detail = result.Decision.Detail
			if s.verbose {
				why := &explainer{engine: engine}
				runner.Decider = why
				runner.Run(ctx, c)
				t.Rules = why.last.Rules
			}
		}
		out = append(out, t)
	}
	return out
}

// An explainer is a Decider that keeps the last explanation.
type explainer struct {
	engine *policy.Engine
	last   policy.Explanation
}

// Decide implements [authz.Decider].
func (e *explainer) Decide(ctx context.Context, req *authz.Request, id authz.Identity) (authz.Decision, error) {
	var err error
	e.last, err = e.engine.Explain(ctx, req, id)
	return e.last.Decision, err
}

// A clock tells the time that was set, or else the machine's.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() {
		return time.Now()
	}
	return c.at
}

// prints hold what the policy printed since it was last taken.
type prints struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements [io.Writer].
func (p *prints) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *prints) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := bytes.Clone(p.text.Bytes())
	p.text.Reset()
	return out
}
