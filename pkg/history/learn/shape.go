package learn

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
	"github.com/sallyport/sallyport/pkg/history"
)

// Of a path, what stands for what differs.
const (
	anySegment = "*"
	ownSegment = "{sub}" // the subject of the token whose claims the rule is about
)

// A caller is the kind of who asked: the slots with valid tokens, the users' first, and whether there was a
// certificate.
type caller struct {
	slots     string // with commas
	certified bool
}

func (c caller) tokens() []string {
	if c.slots == "" {
		return nil
	}
	return strings.Split(c.slots, ",")
}

func (l *learner) caller(r *history.Record) caller { return callerOf(r, l.Workloads) }

func callerOf(r *history.Record, workloads []string) caller {
	var users, others []string
	for _, slot := range slices.Sorted(maps.Keys(r.Tokens)) {
		switch {
		case r.Tokens[slot].Status != authz.TokenValid:
		case slices.Contains(workloads, slot):
			others = append(others, slot)
		default:
			users = append(users, slot)
		}
	}
	return caller{strings.Join(append(users, others...), ","), r.Source.Principal != ""}
}

// A route is what a rule will be about.
type route struct {
	method string // "" of a connection
	path   string // with * and {sub}, or literal; segments are decoded
	caller caller

	signature string // what sets requests apart where their rules had to be; see split.go
}

// shapes are the paths of all allowed requests, as far as they look alike.
type shapes struct {
	distinct int

	mu    *sync.Mutex // guards what follows
	found map[route][]map[string]bool
}

func newShapes(distinct int) shapes {
	return shapes{distinct: distinct, mu: new(sync.Mutex), found: map[route][]map[string]bool{}}
}

// add notes the values of what differs, in a record that was allowed.
func (s *shapes) add(r *history.Record) error {
	if !r.Allowed || r.Method == "" || unfit(r) != "" {
		return nil
	}
	segments := segmentsOf(r)
	key, places := s.shape(r, segments)
	s.mu.Lock()
	defer s.mu.Unlock()
	values := s.found[key]
	if values == nil {
		if len(s.found) >= maxRules*4 {
			return nil // its paths stay as they are
		}
		values = make([]map[string]bool, len(places))
		for i := range values {
			values[i] = map[string]bool{}
		}
		s.found[key] = values
	}
	for i, place := range places {
		if len(values[i]) < maxValues {
			values[i][segments[place]] = true
		}
	}
	return nil
}

// shape is a record's route with all that differs, and where that is. Who the workloads are does not
// matter to it.
func (s *shapes) shape(r *history.Record, segments []string) (route, []int) {
	shape, places := make([]string, len(segments)), []int(nil)
	who := callerOf(r, nil)
	for i, segment := range segments {
		switch {
		case segment != "" && isSubject(r, segment):
			shape[i] = ownSegment
		case history.Varies(segment):
			shape[i] = anySegment
		default:
			shape[i] = segment
			continue
		}
		places = append(places, i)
	}
	return route{method: r.Method, path: "/" + strings.Join(shape, "/"), caller: who}, places
}

func isSubject(r *history.Record, segment string) bool {
	for _, token := range r.Tokens {
		if token.Status == authz.TokenValid && token.Subject == segment {
			return true
		}
	}
	return false
}

// path is the path of a record, with parameters where the log has seen enough values.
func (s *shapes) path(r *history.Record, subject string) string {
	segments := segmentsOf(r)
	key, places := s.shape(r, segments)
	values := s.found[key]
	out := slices.Clone(segments)
	for i, place := range places {
		switch {
		case values == nil || len(values[i]) < s.distinct:
		case segments[place] == subject:
			out[place] = ownSegment
		case history.Varies(segments[place]):
			out[place] = anySegment
		}
	}
	return "/" + strings.Join(out, "/")
}

// segmentsOf are the segments of a path as the policy sees them.
func segmentsOf(r *history.Record) []string {
	path, err := authz.ParsePath(r.Path)
	if err != nil {
		return []string{r.Path}
	}
	return path.Segments
}

// unfit says why a record cannot be learned from; "" where it can.
func unfit(r *history.Record) string {
	switch {
	case r.Entrypoint == "":
		return "no policy was asked"
	case strings.Contains(r.Path, mask.Text):
		return "its path is masked in the record"
	case r.Method == "":
		return ""
	}
	path, err := authz.ParsePath(r.Path)
	switch {
	case err != nil || path.Ambiguity != "":
		return "its path has two readings, and the shipped policy denies those"
	case strings.ContainsAny(strings.Join(path.Segments, ""), "*{}"):
		return "its path has a character that is a wildcard in a rule"
	}
	return ""
}
