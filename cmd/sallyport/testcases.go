package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/casefile"
	"github.com/sallyport/sallyport/pkg/policy"
)

// caseFiles reads every file of cases; what is wrong with any is said at once.
func (s *suite) caseFiles() ([]*casefile.File, error) {
	var out []*casefile.File
	var errs []error
	var mistakes casefile.Mistakes
	for _, name := range s.paths {
		names, err := filesBelow(name, casefile.IsFile)
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

// filesBelow lists the files that are wanted, as the policy's files are found: names with a leading dot are
// left out, links are followed.
func filesBelow(name string, wanted func(name string) bool) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		if wanted(name) {
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
		below, err := filesBelow(filepath.Join(name, entry.Name()), wanted)
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
	if !s.configured {
		runner.Slots = casefile.SlotsOf(file)
	}
	var out []testResult
	for _, c := range file.Cases {
		if !s.wanted.MatchString(c.Note) {
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
