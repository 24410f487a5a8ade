package config

import "time"

// Listen says where the server listens, and who may ask it. A change of any of its settings needs a
// restart; that of a certificate's file does not.
type Listen struct {
	// GRPC is the address that Envoy asks: host:port or unix:///path.
	GRPC Address `yaml:"grpc"`

	// Admin serves health and, at /metrics, metrics for Prometheus; "" turns it off.
	Admin Address `yaml:"admin" empty:"ok"`

	// TLS is for the gRPC listener. Without it the listener is plain text.
	TLS *TLS `yaml:"tls"`

	// AdminTLS is for the admin listener. Without it the listener is plain text.
	AdminTLS *TLS `yaml:"adminTLS"`

	// Insecure accepts a gRPC listener that other machines can reach and that does not ask them
	// for a certificate. Without it, such a listener is a mistake.
	Insecure bool `yaml:"insecure"`

	// InsecureAdmin accepts such an admin listener: in Kubernetes for the probes and for Prometheus,
	// where a network policy says who else reaches the pod.
	InsecureAdmin bool `yaml:"insecureAdmin"`

	// Socket says who may connect to listeners on Unix sockets.
	Socket Socket `yaml:"socket"`

	// Reflection tells clients which gRPC services there are, for tools such as grpcurl.
	Reflection bool `yaml:"reflection" source:"gRPC, server reflection"`

	// Drain says how the server ends.
	Drain Drain `yaml:"drain"`
}

// TLS is a listener's TLS. Its files are watched: the next handshake after a change uses the new
// ones, if they can be used.
type TLS struct {
	// CertFile is the server's certificate, in PEM.
	CertFile string `yaml:"certFile" required:"yes"`

	// KeyFile is the certificate's private key, in PEM.
	KeyFile string `yaml:"keyFile" required:"yes"`

	// ClientCAFile holds the authorities of client certificates, in PEM. If it is set, clients must
	// present one.
	ClientCAFile string `yaml:"clientCAFile"`

	// AllowedClients are the SPIFFE ids or DNS names of the clients that may ask. Without it, any
	// client with a certificate may.
	AllowedClients []string `yaml:"allowedClients" needs:"clientCAFile" format:"client" source:"SPIFFE-ID, section 2"`
}

// Socket says who may connect to listeners on Unix sockets. A socket that a killed process left
// behind is replaced.
type Socket struct {
	// Mode is the socket's, in octal digits; put it in quotes. Who may write may connect.
	Mode string `yaml:"mode" format:"mode" source:"unix(7)"`

	// Owner is the socket's, a name or a number. Without it, it is the process's user.
	Owner string `yaml:"owner" format:"account"`

	// Group is the socket's, a name or a number. Without it, it is the process's group.
	Group string `yaml:"group" format:"account"`
}

// Drain says how the server ends, after SIGTERM or SIGINT. It is over after delay and timeout and, for
// logs and traces that are still to be written, 5 seconds more; a second signal ends it at once.
type Drain struct {
	// Delay is how long everything is answered as before, while the health service says NOT_SERVING and
	// /readyz 503, so that callers have time to go elsewhere: more than one interval of
	// Envoy's health check, which is 5s in deploy/envoy.
	Delay time.Duration `yaml:"delay" empty:"ok"`

	// Timeout is how long checks that run then may take.
	Timeout time.Duration `yaml:"timeout"`
}

// Limits bound what callers can make the server do. What is beyond them is refused early.
type Limits struct {
	// Checks is how many may run at once, those that wait for the network included. One more is
	// answered UNAVAILABLE.
	Checks Count `yaml:"checks"`

	// Wait is how long an accepted check may stand in line for a processor. A check that would wait
	// longer is answered UNAVAILABLE before it is read.
	Wait time.Duration `yaml:"wait"`

	// Connections is how many may be open to the gRPC listener. One more is closed at once.
	Connections Count `yaml:"connections"`

	// Streams is how many calls may be open at once on a connection.
	Streams Count `yaml:"streams" restart:"yes" source:"RFC 9113, SETTINGS_MAX_CONCURRENT_STREAMS"`

	// HeaderBytes bounds a call's metadata. The request's own headers stand in the message and do not
	// count.
	HeaderBytes Size `yaml:"headerBytes" restart:"yes" source:"RFC 9113, SETTINGS_MAX_HEADER_LIST_SIZE"`

	// ConnectionAge is when a connection is asked to end, give or take a tenth, so that callers spread
	// over new replicas.
	ConnectionAge time.Duration `yaml:"connectionAge" restart:"yes"`
}
