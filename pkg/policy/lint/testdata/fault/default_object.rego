package envoy.authz

default allow := {"allowed": true, "headers": {"x-checked": "yes"}} # want: default-allow
