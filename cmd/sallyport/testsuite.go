package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy"
	"github.com/sallyport/sallyport/policies"
)

// A suite is everything that one run of tests needs.
type suite struct {
	paths      []string // where tests are looked for
	config     policy.Config
	runner     casefile.Runner // without its Decider
	configured bool            // and so its slots are known
	required   []string        // slots without which no request comes to the policy
	wanted     *regexp.Regexp
	filter     string
	verbose    bool

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
	Invariant   []string              `json:"counterexample,omitempty"` // of an invariant, line for line
	Detail      string                `json:"detail,omitempty"`         // why a case that failed was decided so
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
	if s.wanted, err = regexp.Compile(flags.run); err != nil {
		return nil, err
	}
	if flags.config == "" {
		s.config = policy.Config{Files: policyFiles(args), Default: policies.FS, Library: policies.Library}
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
	if s.runner, err = statedRunner(context.Background(), cfg); err != nil {
		return err
	}
	s.configured, s.required = true, requiredSlots(cfg)
	if len(s.paths) == 0 {
		s.paths = cfg.Policy.Files
	}
	return nil
}

// policyFiles are the arguments that hold a policy: all but single files of tests.
func policyFiles(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(name string) bool {
		return casefile.IsFile(name) || casefile.IsInvariants(name) || strings.HasSuffix(name, "_test.rego")
	})
}

func (s *suite) run(ctx context.Context) (testResults, error) {
	files, err := s.caseFiles()
	if err != nil {
		return testResults{}, err
	}
	invariants, err := invariantFiles(s.paths)
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
	proved, err := s.invariantTests(ctx, invariants)
	if err != nil {
		return testResults{}, err
	}
	out.tests = append(append(out.tests, cases...), proved...)
	switch {
	case len(out.tests) == 0 && s.filter != "":
		return testResults{}, fmt.Errorf("no test matches %q", s.filter)
	case len(out.tests) == 0:
		return testResults{}, fmt.Errorf("no test in %s: neither test_ rules in _test.rego files nor .cases.yaml or .invariants.yaml files", cmp.Or(strings.Join(s.paths, ", "), "policy.files"))
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
