package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificatesInterval is how long files that were looked at are taken for the same.
const certificatesInterval = time.Second

// certificates are what a listener's files held when they could last be used. Handshakes look whether
// they have changed, so that nothing runs between two of them, and no event is missed.
type certificates struct {
	tls       *TLS
	protocols []string
	setting   string
	logger    *slog.Logger
	now       func() time.Time

	mu      sync.Mutex
	looked  time.Time
	texts   [3][]byte // of the files, when they were last looked at
	trouble string    // that was told last
	config  *tls.Config
}

// forClient is [tls.Config.GetConfigForClient]. A configuration has its own ticket keys, so a session
// from before a change is not resumed: the client proves itself to the new authorities.
func (c *certificates) forClient(*tls.ClientHelloInfo) (*tls.Config, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= certificatesInterval {
		c.looked = now
		c.tell(c.read())
	}
	return c.config, nil
}

// tell says what became of a change, and of a trouble that lasts no more than once.
func (c *certificates) tell(changed bool, err error) {
	trouble := ""
	switch {
	case err != nil:
		if trouble = err.Error(); trouble != c.trouble {
			c.logger.Error("TLS files refused, the old ones stay", "setting", c.setting, "error", err)
		}
	case changed:
		c.logger.Info("TLS files changed", "setting", c.setting)
	}
	c.trouble = trouble
}

// read makes a configuration of the files, where they are not those that were read before. A half
// written pair does not fit together, and is tried again when it has changed.
func (c *certificates) read() (changed bool, err error) {
	var texts [3][]byte
	for i, name := range []string{c.tls.CertFile, c.tls.KeyFile, c.tls.ClientCAFile} {
		if name == "" {
			continue
		}
		if texts[i], err = os.ReadFile(name); err != nil {
			if i == 2 {
				err = fmt.Errorf("clientCAFile: %w", err)
			}
			return false, err
		}
	}
	if c.config != nil && same(texts, c.texts) {
		return false, nil
	}
	config, err := c.make(texts)
	if err != nil {
		return false, err
	}
	c.texts, c.config = texts, config
	return true, nil
}

func same(a, b [3][]byte) bool {
	return bytes.Equal(a[0], b[0]) && bytes.Equal(a[1], b[1]) && bytes.Equal(a[2], b[2])
}

func (c *certificates) make(texts [3][]byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(texts[0], texts[1])
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: c.protocols, Certificates: []tls.Certificate{pair}}
	if c.tls.ClientCAFile == "" {
		return config, nil
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(texts[2]) {
		return nil, errors.New("clientCAFile: no certificate in " + c.tls.ClientCAFile)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.VerifyConnection = c.tls.verifyClient
	return config, nil
}
