package decisionlog

import (
	"strings"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// An Entry is one line of the log.
type Entry struct {
	DecisionID string           `json:"decision_id"`
	Timestamp  time.Time        `json:"timestamp"`
	DurationUS int64            `json:"duration_us"` // microseconds in Sallyport
	Allowed    bool             `json:"allowed"`
	Reason     authz.Reason     `json:"reason"`
	Detail     string           `json:"detail,omitempty"` // the policy's reason, or what failed
	Status     int              `json:"status,omitempty"` // of a denial
	Revision   string           `json:"revision,omitempty"`
	Method     string           `json:"method,omitempty"`
	Host       string           `json:"host,omitempty"`
	Path       string           `json:"path,omitempty"` // without the query
	Source     Source           `json:"source"`
	Tokens     map[string]Token `json:"tokens,omitempty"` // by slot
}

// Source is the downstream peer.
type Source struct {
	Address   string `json:"address,omitempty"`
	Principal string `json:"principal,omitempty"`
}

// Token is the state of one slot.
type Token struct {
	Status  authz.TokenStatus `json:"status"`
	Issuer  string            `json:"issuer,omitempty"`
	Subject string            `json:"sub,omitempty"`
}

// NewEntry takes from a record what may be kept.
func NewEntry(record *authz.Record) Entry {
	d := record.Decision
	entry := Entry{
		DecisionID: record.ID,
		Timestamp:  record.Time.UTC(),
		DurationUS: record.Duration.Microseconds(),
		Allowed:    d.Allowed,
		Reason:     d.Reason,
		Detail:     d.Detail,
		Status:     d.Status,
		Revision:   d.Revision,
		Source:     Source{Address: record.Request.Source.Address, Principal: record.Request.Source.Principal},
		Tokens:     make(map[string]Token, len(record.Identity.Tokens)),
	}
	if http := record.Request.HTTP; http != nil {
		entry.Method, entry.Host = http.Method, http.Host
		entry.Path, _, _ = strings.Cut(http.Path.Raw, "?")
	}
	for slot, token := range record.Identity.Tokens {
		subject, _ := token.Claims["sub"].(string)
		entry.Tokens[slot] = Token{Status: token.Status, Issuer: token.Issuer, Subject: subject}
	}
	return entry
}
