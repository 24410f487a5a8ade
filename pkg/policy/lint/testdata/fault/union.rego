package envoy.authz

allow := object.union({"reason": "because"}, {"allowed": allowed})

default allowed := true # want: default-allow
