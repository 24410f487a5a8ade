// Package gaps finds where Zero Trust does not hold yet, in the decisions that were recorded.
//
//  1. [Finder.Add] takes each record and notes what is missing in it (mark.go): a token, a workload's
//     identity, a certificate, a rule that decided; and what is too much in its tokens. It counts per
//     subject, in bounded memory (book.go).
//  2. [Finder.Report] makes a [Gap] of each, with the smallest change that closes it (mend.go). With
//     the [Policy] at hand it also finds rules that admit nobody (rules.go), grants that nobody
//     needs, and who could reach more than they use (privilege.go, grant.go).
//  3. The gaps are ranked (see [Gap.Score]), and laid out beside the matrix of who reaches what
//     (document.go).
package gaps

import (
	"context"
	"math"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A Kind is what is missing, or too much.
type Kind string

// The kinds of gaps, and what each is about.
const (
	NoToken       Kind = "no_token"         // a route was reached without a token
	NoWorkload    Kind = "no_workload"      // a route was reached with a user's identity and no workload's
	NoMTLS        Kind = "no_mtls"          // a client came without a certificate
	ByDefault     Kind = "default_decision" // no rule had anything to say
	UnusedRule    Kind = "unused_rule"      // a rule admitted nobody
	UnusedGrant   Kind = "unused_grant"     // a scope, role or group was held and not needed
	Excess        Kind = "excess_privilege" // a principal could reach far more than it used
	LongLived     Kind = "long_lived_token"
	WeakAlgorithm Kind = "weak_algorithm"
	WideAudience  Kind = "wide_audience" // a token was for several services
)

// words are the kinds for people.
var words = map[Kind]string{
	NoToken: "no token", NoWorkload: "no workload identity", NoMTLS: "no mutual TLS", ByDefault: "decided by default",
	UnusedRule: "rule never used", UnusedGrant: "grant never used", Excess: "far more than used",
	LongLived: "long-lived token", WeakAlgorithm: "weak algorithm", WideAudience: "wide audience",
}

// A Gap is one place where Zero Trust does not hold.
type Gap struct {
	Kind      Kind    `json:"kind"`
	Subject   string  `json:"subject"`   // a route's pattern, a principal, an address, a rule, or a slot with its issuer
	What      string  `json:"what"`      // in a sentence
	Mend      string  `json:"mend"`      // the smallest change that closes it
	Risk      int     `json:"risk"`      // 1 to 5
	Score     float64 `json:"score"`     // risk × (1 + log10 of the decisions), by which gaps are ranked
	Decisions int     `json:"decisions"` // that show it
	Share     float64 `json:"share"`     // of all decisions, 0 to 1
	Sample    string  `json:"sample,omitempty"`
}

// rank gives a gap its score and its share.
func (g *Gap) rank(all int) {
	g.Score = math.Round(10*float64(g.Risk)*(1+math.Log10(float64(max(1, g.Decisions))))) / 10
	if all > 0 {
		g.Share = float64(g.Decisions) / float64(all)
	}
}

// A Config says what is looked for.
type Config struct {
	// MaxLifetime is the longest time from iat to exp that is no gap; 0 means an hour.
	MaxLifetime time.Duration

	// Workloads are the slots whose tokens are workloads'. A token is a workload's too where its
	// subject is a SPIFFE ID, or the client itself (RFC 9068, section 2.2: sub is client_id).
	Workloads []string

	// Policy is what decides; nil: nobody knows, and what needs it is not found.
	Policy *Policy
}

// A Policy is the one that is at hand.
type Policy struct {
	Revision string // as records have it
	Rules    []Rule // that records name; none where the policy names none

	// Allows asks it. It is not called concurrently.
	Allows func(ctx context.Context, at time.Time, req *authz.Request, id authz.Identity) bool
}

// A Rule is one that a policy names in the records of what it decides.
type Rule struct {
	Name   string         // such as routes[3]
	Route  string         // such as /orders/**; "" of a network rule
	Stated map[string]any // what stands in the data
}
