package telemetry

// The names of attributes, events and metrics. Those of OpenTelemetry's semantic conventions come
// first; the rest is under "sallyport.". What each one means is in attributes.md, which a test holds
// against these.
const (
	keyRPCSystem     = "rpc.system.name"
	keyRPCMethod     = "rpc.method"
	keyRPCStatus     = "rpc.response.status_code"
	keyMethod        = "http.request.method"
	keyScheme        = "url.scheme"
	keyPath          = "url.path"
	keyServerAddress = "server.address"
	keyServerPort    = "server.port"
	keyClientAddress = "client.address"
	keyRoute         = "http.route"
	keyStatus        = "http.response.status_code"
	keyErrorType     = "error.type"

	keyDecisionID = "sallyport.decision.id"
	keyAllowed    = "sallyport.decision.allowed"
	keyOutcome    = "sallyport.decision.outcome"
	keyReason     = "sallyport.decision.reason"
	keyDetail     = "sallyport.decision.detail"
	keyPrincipal  = "sallyport.source.principal"

	keyTokenRule    = "sallyport.token.rule"
	keyTokenIssuer  = "sallyport.token.issuer"
	keyTokenOutcome = "sallyport.token.outcome"
	keyTokenCached  = "sallyport.token.cached"

	keyEntrypoint   = "sallyport.policy.entrypoint"
	keyRevision     = "sallyport.policy.revision"
	keyPolicyRule   = "sallyport.policy.rule"
	keyPolicyCached = "sallyport.policy.cached"

	keyVerdict        = "sallyport.candidate.verdict"
	keyCandidateState = "sallyport.candidate.state"

	keyCacheResult  = "sallyport.cache.result"
	keyFetchOutcome = "sallyport.jwks.outcome"
	keyLoadOutcome  = "sallyport.policy.load.outcome"
	keyReloadResult = "sallyport.config.reload.outcome"

	eventKeysFetched = "sallyport.jwks.fetched"

	metricChecks           = "sallyport.checks"
	metricInFlight         = "sallyport.checks.in_flight"
	metricShed             = "sallyport.checks.shed"
	metricCheckDuration    = "sallyport.check.duration"
	metricVerifications    = "sallyport.token.verifications"
	metricVerifyDuration   = "sallyport.token.verification.duration"
	metricTokenLookups     = "sallyport.token.cache.lookups"
	metricTokenEvictions   = "sallyport.token.cache.evictions"
	metricTokenEntries     = "sallyport.token.cache.entries"
	metricTokenBytes       = "sallyport.token.cache.size"
	metricKeys             = "sallyport.jwks.keys"
	metricKeysAge          = "sallyport.jwks.age"
	metricKeysFetches      = "sallyport.jwks.fetches"
	metricEvaluateDuration = "sallyport.policy.evaluation.duration"
	metricPolicyInfo       = "sallyport.policy.info"
	metricPolicyLoads      = "sallyport.policy.loads"
	metricPolicyLookups    = "sallyport.policy.cache.lookups"
	metricPolicyEvictions  = "sallyport.policy.cache.evictions"
	metricPolicyBytes      = "sallyport.policy.cache.size"
	metricCompared         = "sallyport.candidate.comparisons"
	metricCandidateFails   = "sallyport.candidate.failures"
	metricNotCompared      = "sallyport.candidate.dropped"
	metricCandidateTime    = "sallyport.candidate.evaluation.duration"
	metricCandidateInfo    = "sallyport.candidate.info"
	metricDropped          = "sallyport.decision_log.dropped"
	metricReloads          = "sallyport.config.reloads"
	metricStale            = "sallyport.config.stale"
)
