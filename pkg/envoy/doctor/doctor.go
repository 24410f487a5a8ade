// Package doctor reads the configuration of a real Envoy, or the resources that Istio or Envoy Gateway
// make one from, and finds the routes on which the check does not happen or does not bind.
//
//  1. [Read] takes a file, a directory or the URL of Envoy's admin listener. Its text becomes a tree of
//     nodes that know their line (node.go, parse.go). No protobuf message is made of it: what a newer
//     Envoy has more is passed over, and what it has less is not there.
//  2. The tree is an Envoy bootstrap, a config dump, or resources of Kubernetes (source.go). Of the first
//     two an inventory is made, of listeners, route tables, clusters and what came by discovery
//     (inventory.go).
//  3. Each listener is walked: filter chains (listener.go), the HTTP filters of each (filter.go), and
//     the routes with what they say of a filter, the most specific first (route.go).
//  4. For each ext_authz filter it is asked whether the check happens on each route (extauthz.go),
//     whether what it sees is what the upstream will see (order.go, hcm.go, headers.go), and whether
//     its answer can be relied on (settings.go, cluster.go, certificate.go, network.go).
//  5. Istio's resources (istio.go) and Envoy Gateway's (gateway.go) are judged by what their control
//     planes make of them.
//
// What a file does not hold, since it comes by discovery, is a finding too: it is never taken for fine.
//
// Configurations hold secrets. Of the values of a configuration, findings repeat only names, numbers
// and the settings that they are about.
package doctor

import (
	"cmp"
	"slices"
	"strings"
)

// A Severity says how much a finding matters.
type Severity string

// The severities, the worst first.
const (
	Absent  Severity = "does not happen" // requests pass that nobody checked
	Unbound Severity = "does not bind"   // they are checked, and the answer does not hold
	Weak    Severity = "weak"            // it holds, unless something else goes wrong
	Advice  Severity = "advice"
)

// Severities are all of them, the worst first.
func Severities() []Severity { return []Severity{Absent, Unbound, Weak, Advice} }

// AtLeast tells whether s is as bad as another, or worse.
func (s Severity) AtLeast(other Severity) bool {
	return slices.Index(Severities(), s) <= slices.Index(Severities(), other)
}

// A Finding is one thing that is wrong, at one place.
type Finding struct {
	Code     string   `json:"code"` // of a Kind
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // what is wrong here
	Place    Place    `json:"place"`
	Routes   []Route  `json:"routes"`
	Mend     string   `json:"mend"` // what to write instead
}

// A Place is where it stands.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Path string `json:"path"` // such as static_resources.listeners[0].name
}

// A Route is what requests take: of an Envoy a route, of resources an object of them.
type Route struct {
	Listener    string `json:"listener,omitempty"`
	FilterChain string `json:"filter_chain,omitempty"` // "" where there is but one
	VirtualHost string `json:"virtual_host,omitempty"`
	Match       string `json:"match,omitempty"`
	Object      string `json:"object,omitempty"` // such as HTTPRoute shop/orders
}

// String joins the names from the outside in.
func (r Route) String() string {
	parts := []string{r.Object, r.Listener, r.FilterChain, r.VirtualHost, r.Match}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " > ")
}

// A Report is what was found.
type Report struct {
	Routes   int       `json:"routes"`   // that were looked at
	Findings []Finding `json:"findings"` // the worst first, then by place
}

// Options say what to hold a configuration to.
type Options struct {
	Needs   Needs
	Cluster string   // of Sallyport; "": every ext_authz filter that speaks gRPC asks it
	Ignore  []Ignore // findings that are known
}

// An Ignore leaves findings of a code out, on the routes whose text holds Where; "": on all.
type Ignore struct{ Code, Where string }

// Examine looks through what was read.
func Examine(sources []Source, o Options) Report {
	e := &examiner{Options: o, byKey: map[findingKey]int{}, on: map[findingRoute]bool{}}
	var resources []*node
	for _, s := range sources {
		switch s.kind {
		case resource:
			resources = append(resources, s.root)
		default:
			e.envoy(newInventory(s))
		}
	}
	if len(resources) > 0 {
		e.resources(resources)
	}
	return Report{Routes: e.routes, Findings: e.sorted()}
}

// An examiner collects findings.
type examiner struct {
	Options
	*inventory
	routes   int
	findings []Finding
	byKey    map[findingKey]int // where in findings
	on       map[findingRoute]bool
}

type findingKey struct {
	code, message string
	at            *node
}

// A findingRoute is a route that a finding has already.
type findingRoute struct {
	finding int
	route   Route
}

// find notes a finding; one that is there already gets the routes besides. The pointer is good until the
// next one.
func (e *examiner) find(code string, at *node, routes []Route, message string) *Finding {
	key := findingKey{code, message, at}
	i, known := e.byKey[key]
	if !known {
		kind := kindOf(code)
		i = len(e.findings)
		e.byKey[key] = i
		e.findings = append(e.findings, Finding{Code: code, Severity: kind.Severity, Message: message, Mend: kind.Mend, Place: place(at), Routes: []Route{}})
	}
	f := &e.findings[i]
	for _, r := range routes {
		if key := (findingRoute{i, r}); !e.on[key] {
			e.on[key] = true
			f.Routes = append(f.Routes, r)
		}
	}
	return f
}

func place(at *node) Place {
	if at == nil {
		return Place{}
	}
	return Place{File: at.file, Line: at.line, Path: at.path()}
}

// sorted are the findings without those to ignore.
func (e *examiner) sorted() []Finding {
	kept := []Finding{}
	for _, f := range e.findings {
		had := len(f.Routes)
		f.Routes = slices.DeleteFunc(f.Routes, func(r Route) bool { return e.ignored(f.Code, r.String()) })
		if len(f.Routes) > 0 || had == 0 && !e.ignored(f.Code, "") {
			kept = append(kept, f)
		}
	}
	slices.SortStableFunc(kept, func(a, b Finding) int {
		rank := func(s Severity) int { return slices.Index(Severities(), s) }
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)),
			cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Code, b.Code))
	})
	return kept
}

func (e *examiner) ignored(code, route string) bool {
	return slices.ContainsFunc(e.Ignore, func(i Ignore) bool {
		return i.Code == code && strings.Contains(route, i.Where)
	})
}
