package config

import (
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// maxSocketPath is what Linux has room for in sun_path, less its final NUL: unix(7).
const maxSocketPath = 107

// An Address is where a listener listens, as [net.Listen] takes it. The zero value is nowhere.
type Address struct {
	Network string // tcp or unix
	Address string
}

// UnmarshalText reads host:port or unix:///path; an empty text is the zero value.
func (a *Address) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "" {
		*a = Address{}
		return nil
	}
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		if !filepath.IsAbs(path) || len(path) > maxSocketPath || strings.ContainsRune(path, 0) {
			return errors.New("must be unix:// and an absolute path of at most " + strconv.Itoa(maxSocketPath) + " bytes")
		}
		*a = Address{Network: "unix", Address: path}
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsAny(host, "/ ") {
		return errors.New("must be host:port or unix:///path")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("must end with a port from 0 to 65535")
	}
	*a = Address{Network: "tcp", Address: s}
	return nil
}

// String is the address as it is written in the file.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix://" + a.Address
	}
	return a.Address
}

// Local tells whether only this machine can reach the address.
func (a Address) Local() bool {
	if a.Network != "tcp" {
		return true
	}
	host, _, err := net.SplitHostPort(a.Address)
	return err == nil && isLoopback(host)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip.IsLoopback()
}
