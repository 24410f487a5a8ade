package config

import "strings"

func (c *checker) listen(l *Listen) {
	c.tls(l.TLS, "listen.tls")
	c.tls(l.AdminTLS, "listen.adminTLS")
	if !l.GRPC.Local() && !c.mutual("listen.tls") && !l.Insecure {
		c.fault("listen.grpc", "other machines can reach this address, and anyone there could ask; "+
			"set listen.tls with a clientCAFile, listen on loopback or a Unix socket, or accept it with listen.insecure: true")
	}
	if !l.Admin.Local() && !c.mutual("listen.adminTLS") && !l.InsecureAdmin {
		c.fault("listen.admin", "other machines can reach this address, and anyone there could look; "+
			"set listen.adminTLS with a clientCAFile, listen on loopback or a Unix socket, or accept it with listen.insecureAdmin: true")
	}
	if l.Admin == l.GRPC && !strings.HasSuffix(l.Admin.Address, ":0") {
		c.fault("listen.admin", "the same address as listen.grpc")
	}
	c.formatted(l.Socket.Mode, "listen.socket.mode", "mode")
	c.formatted(l.Socket.Owner, "listen.socket.owner", "account")
	c.formatted(l.Socket.Group, "listen.socket.group", "account")
	if l.Drain.Delay < 0 {
		c.fault("listen.drain.delay", "must not be less than 0")
	}
	c.positive(l.Drain.Timeout, "listen.drain.timeout")
}

// mutual tells whether a listener asks its clients for a certificate.
func (c *checker) mutual(section string) bool {
	return c.has(section) && c.has(join(section, "clientCAFile"))
}

func (c *checker) formatted(text, path, format string) {
	if text != "" && !formats[format].is(text) {
		c.fault(path, "must be %s", formats[format].Meaning)
	}
}

func (c *checker) tls(t *TLS, at string) {
	if t == nil || c.wrong[at] {
		return
	}
	c.required(at, *t)
	c.existingFile(&t.CertFile, join(at, "certFile"))
	c.existingFile(&t.KeyFile, join(at, "keyFile"))
	c.existingFile(&t.ClientCAFile, join(at, "clientCAFile"))
	clients := join(at, "allowedClients")
	if c.has(clients) && !c.has(join(at, "clientCAFile")) {
		c.fault(clients, "needs clientCAFile: without it no client presents a certificate")
	}
	for i, client := range t.AllowedClients {
		c.formatted(client, index(clients, i), "client")
	}
}

func (c *checker) limits(l *Limits) {
	c.positive(l.Wait, "limits.wait")
	c.positive(l.ConnectionAge, "limits.connectionAge")
}
