package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// A junitSuite is the tests of one file, in the form that CI servers read (the schema of Apache Ant's
// task junit, as Jenkins and GitLab take it).
type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
	took     time.Duration
}

type junitCase struct {
	ClassName string        `xml:"classname,attr"`
	Name      string        `xml:"name,attr"`
	File      string        `xml:"file,attr"`
	Line      int           `xml:"line,attr"`
	Time      string        `xml:"time,attr"`
	Failure   *junitProblem `xml:"failure"`
	Error     *junitProblem `xml:"error"`
	Skipped   *struct{}     `xml:"skipped"`
	Output    string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func reportJUnit(out io.Writer, results testResults) error {
	var suites []*junitSuite
	byFile := map[string]*junitSuite{}
	for _, t := range results.tests {
		s := byFile[t.Location.File]
		if s == nil {
			s = &junitSuite{Name: t.Location.File}
			byFile[s.Name] = s
			suites = append(suites, s)
		}
		s.add(t)
	}
	if _, err := io.WriteString(out, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(out)
	encoder.Indent("", "  ")
	err := encoder.Encode(struct {
		XMLName xml.Name      `xml:"testsuites"`
		Suites  []*junitSuite `xml:"testsuite"`
	}{Suites: suites})
	fmt.Fprintln(out)
	return err
}

func (s *junitSuite) add(t testResult) {
	c := junitCase{
		ClassName: t.Package, Name: t.Name, File: t.Location.File, Line: t.Location.Row,
		Time: seconds(t.Duration), Output: string(t.Output),
	}
	lines := t.lines()
	problem := &junitProblem{Text: strings.Join(lines, "\n")}
	if len(lines) > 0 {
		problem.Message = lines[0]
	}
	s.Tests++
	switch t.outcome() {
	case "ERROR":
		s.Errors++
		c.Error = problem
	case "FAIL":
		s.Failures++
		c.Failure = problem
	case "SKIPPED":
		s.Skipped++
		c.Skipped = &struct{}{}
	}
	s.took += t.Duration
	s.Time = seconds(s.took)
	s.Cases = append(s.Cases, c)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }
