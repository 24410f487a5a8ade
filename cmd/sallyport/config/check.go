package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A checker finds what the types of a [Config] cannot say. It also makes names and paths uniform:
// header names lower-case, and paths relative to dir, the directory of the configuration file.
type checker struct {
	*source
	dir string
}

func (c *checker) config(cfg *Config) {
	c.listen(&cfg.Listen)
	c.limits(&cfg.Limits)
	c.request(&cfg.Request)
	c.jwt(&cfg.JWT)
	c.policy(&cfg.Policy)
	c.decisionLog(&cfg.DecisionLog)
}

func (c *checker) request(r *Request) {
	if r.Timeout <= 0 {
		c.fault("request.timeout", "must be more than 0")
	}
}

// required misses the settings of a section that are not in the file and are tagged as required.
func (c *checker) required(path string, section any) {
	for _, field := range fields(reflect.TypeOf(section)) {
		at := join(path, field.Tag.Get("yaml"))
		switch why := field.Tag.Get("required"); {
		case why == "" || c.has(at) || c.has(join(path, field.Tag.Get("or"))):
		case why == "yes":
			c.fault(at, "required")
		default:
			c.fault(at, "required: %s", why)
		}
	}
}

// positive refuses a duration that is set and leaves no time.
func (c *checker) positive(d time.Duration, path string) {
	if c.has(path) && d <= 0 && !c.wrong[path] {
		c.fault(path, "must be more than 0")
	}
}

// header checks a header's name and makes it lower-case.
func (c *checker) header(name *string, path string) {
	switch {
	case *name == "":
	case strings.HasPrefix(*name, ":"):
		c.fault(path, "must not be a pseudo-header")
	case strings.EqualFold(*name, "host"):
		c.fault(path, "must not be host")
	case !formats["header"].is(*name):
		c.fault(path, "must be a header name")
	}
	*name = strings.ToLower(*name)
}

// outputHeader is header for one that goes upstream. Those that frame or route the request are Envoy's.
func (c *checker) outputHeader(name *string, path string) {
	c.header(name, path)
	if slices.Contains(framing, *name) {
		c.fault(path, "must not be a header that frames the request")
	}
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
