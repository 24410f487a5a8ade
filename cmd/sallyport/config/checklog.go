package config

import "github.com/sallyport/sallyport/pkg/authz/mask"

func (c *checker) decisionLog(l *DecisionLog) {
	if l.File != "" {
		c.newFile(&l.File, "decisionLog.file")
	}
	for _, name := range []string{"maxSize", "maxFiles", "maxAge"} {
		at, need := join("decisionLog", name), "decisionLog.maxSize"
		if name == "maxSize" {
			need = "decisionLog.file"
		}
		if c.has(at) && !c.has(need) {
			c.fault(at, "needs %s", need)
		}
	}
	c.positive(l.MaxAge, "decisionLog.maxAge")
	c.positive(l.BlockTimeout, "decisionLog.blockTimeout")
	c.keep(&l.Keep)
}

// keep refuses what would be masked in vain, and what nobody can send.
func (c *checker) keep(k *Keep) {
	for i := range k.Headers {
		c.header(&k.Headers[i], index("decisionLog.keep.headers", i))
	}
	for i, name := range k.Cookies {
		if name != "" && !formats["cookie"].is(name) {
			c.fault(index("decisionLog.keep.cookies", i), "must be a cookie's name")
		}
	}
	for list, names := range map[string][]string{"headers": k.Headers, "cookies": k.Cookies, "query": k.Query, "claims": k.Claims, "body": k.Body} {
		for i, name := range names {
			if mask.Judge(name) == mask.Secret {
				c.fault(index("decisionLog.keep."+list, i), "the name of a credential: its values are never recorded")
			}
		}
	}
}
