package envoy.authz


allow := other

# METADATA
# entrypoint: true
other := allowed

allowed := true # want: default-allow
