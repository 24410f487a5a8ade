// Package history reads decisions back from the decision log: what a server has decided, from what,
// for whom. What may be asked of a past are its sub-packages.
//
// The journey of a record:
//
//  1. [Open] takes the files of a log, rotated and compressed ones too, in order (log.go).
//  2. [Log.Each] reads them once, from the beginning to the end, with as much memory as a few records
//     need. Lines are parsed ([Parse]) and handed over on all processors, in no order.
//  3. A [Record] is one decision under the names of sallyport.decision.v1. It says of itself who asked
//     and for what, as people group decisions (group.go).
package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A Record is one decision, as the log has it. What was a credential is the text "[masked]".
type Record struct {
	ID         string       `json:"decision_id"`
	Time       time.Time    `json:"timestamp"`
	DurationUS json.Number  `json:"duration_us"` // in microseconds; protobuf's JSON form has it as text
	Allowed    bool         `json:"allowed"`
	Reason     authz.Reason `json:"reason"`
	Detail     string       `json:"detail"`
	Status     int          `json:"status"`
	Revision   string       `json:"revision"`
	Entrypoint string       `json:"entrypoint"` // such as data.envoy.authz.allow; "" where no policy was asked
	Cached     bool         `json:"cached"`
	Rule       string       `json:"rule"`  // that decided, where the policy names it
	Route      string       `json:"route"` // where the policy names it

	Method  string            `json:"method"` // "" for a check of Envoy's network filter
	Host    string            `json:"host"`
	Path    string            `json:"path"` // without the query
	Headers map[string]string `json:"headers"`
	Cookies map[string]string `json:"cookies"`
	Query   map[string]string `json:"query"`

	Source      Peer             `json:"source"`
	Destination Peer             `json:"destination"`
	Tokens      map[string]Token `json:"tokens"` // by the rule's name
	Answer      Answer           `json:"answer"`

	// Basis: what the policy decided from.
	Input       json.RawMessage `json:"input"`        // what it read, numbers exact; nil: nothing was recorded
	WholeInput  bool            `json:"whole_input"`  // Input is all of the input, whether the policy read it or not
	EvaluatedAt time.Time       `json:"evaluated_at"` // the time that it saw; zero where it asked for nothing that changes
	Results     json.RawMessage `json:"nd_builtin_cache"`
	Complete    *bool           `json:"complete"` // nil: no policy was asked
	Incomplete  string          `json:"incomplete"`
	Masked      []string        `json:"masked"`
	Withheld    []string        `json:"withheld"`

	// Candidate is what another policy would have decided: the line is no record of its own, but tells
	// of one that has the same ID. [Log.Each] leaves such lines out.
	Candidate json.RawMessage `json:"candidate"`
}

// A Peer is one end of the connection.
type Peer struct {
	Address   string `json:"address"`
	Principal string `json:"principal"` // in its certificate; "" without one
	Port      uint32 `json:"port"`
}

// A Token is what became of one slot.
type Token struct {
	Status    authz.TokenStatus `json:"status"`
	Issuer    string            `json:"issuer"`
	Subject   string            `json:"sub"`
	Algorithm string            `json:"algorithm"`
	Claims    map[string]any    `json:"claims"` // those that are kept; numbers are json.Number
}

// An Answer is what the decision brought to the request or the caller, beside the status.
type Answer struct {
	SetHeaders      []Header `json:"set_headers"`
	RemoveHeaders   []string `json:"remove_headers"`
	ResponseHeaders []Header `json:"response_headers"`
	SetQuery        []Header `json:"set_query"`
	RemoveQuery     []string `json:"remove_query"`
}

// A Header is a header or a query parameter.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Parse reads one line of a log. Names that it does not know, as of a later version, are left out.
func Parse(line []byte) (*Record, error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	var r Record
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("history: read a record: %w", err)
	}
	if decoder.More() {
		return nil, errors.New("history: read a record: more than one on a line")
	}
	if r.ID == "" || r.Time.IsZero() {
		return nil, errors.New("history: read a record: no decision_id or no timestamp, so it is no line of Sallyport's decision log")
	}
	return &r, nil
}
