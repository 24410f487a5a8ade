package envoy.auth # want: unreachable-rule

default allow := false
