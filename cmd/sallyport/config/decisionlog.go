package config

import "time"

// The values of DecisionLog.WhenFull.
const (
	DropWhenFull  = "drop"
	BlockWhenFull = "block"
	DenyWhenFull  = "deny"
)

// The values of Keep.Input.
const (
	KeepRead = "read"
	KeepAll  = "all"
)

// DecisionLog says where the record of each check goes, and what is in it: deploy/decision-log.md. The
// service of policy.opa.decision_logs gets records too.
type DecisionLog struct {
	// Stdout writes records to standard output, a line of JSON each.
	Stdout bool `yaml:"stdout"`

	// File gets the records, a line of JSON each. It is made if it is absent, and again where something
	// else renamed it.
	File string `yaml:"file"`

	// MaxSize is the size that the file does not grow beyond: 64KiB, 1MiB or a number of bytes. A full
	// one is renamed, with the time in its name. Without it the file grows.
	MaxSize Size `yaml:"maxSize" needs:"file"`

	// MaxFiles is how many renamed files are kept. Without it, all are.
	MaxFiles Count `yaml:"maxFiles" needs:"maxSize"`

	// MaxAge is how long renamed files are kept. Without it, for ever.
	MaxAge time.Duration `yaml:"maxAge" needs:"maxSize"`

	// OTLP exports records as OpenTelemetry's log records, to where the OTEL_* variables say.
	OTLP bool `yaml:"otlp" source:"OpenTelemetry, OTEL_LOGS_EXPORTER"`

	// WhenFull is what happens to a record when the queue of a sink is full: it is dropped and counted,
	// or the check waits for room, or the check is denied with status 503.
	WhenFull string `yaml:"whenFull" enum:"drop,block,deny"`

	// BlockTimeout is how long a check waits for room before its record is dropped after all.
	BlockTimeout time.Duration `yaml:"blockTimeout"`

	// QueueBytes is the size of each sink's queue: 64KiB, 1MiB or a number of bytes.
	QueueBytes Size `yaml:"queueBytes"`

	// QueueRecords is how many records may wait in each sink's queue.
	QueueRecords Count `yaml:"queueRecords"`

	// Keep lists what is recorded beside what the policy reads.
	Keep Keep `yaml:"keep"`
}

// Keep lists what is recorded beside what the policy reads. What may be a credential, by its name or
// its shape, is masked all the same.
type Keep struct {
	// Input is what is recorded of the policy's input: what it reads, or all. With all, a policy that reads
	// more than this one can be replayed ("sallyport replay"); records are several times as long, and each
	// check pays for it.
	Input string `yaml:"input" enum:"read,all"`

	// Headers are names of headers.
	Headers []string `yaml:"headers" format:"header" empty:"ok"`

	// Cookies are names of cookies.
	Cookies []string `yaml:"cookies" format:"cookie" empty:"ok"`

	// Query are names of query parameters.
	Query []string `yaml:"query" empty:"ok"`

	// Claims are names of claims that are recorded of every valid token, and where the policy reads all
	// claims; it masks the others there. "*" is every claim.
	Claims []string `yaml:"claims" empty:"ok" source:"RFC 7519, section 4.1; RFC 9068, section 2.2"`

	// Body are members of a JSON or form body that are recorded where the policy reads all of it, as the
	// shipped one does: those that its conditions are about. The others are masked. "*" is every member.
	Body []string `yaml:"body" empty:"ok"`
}
