package lint

// A Kind is one sort of finding.
type Kind struct {
	ID   string
	Mend string // the way out
}

// The ids.
const (
	defaultAllow     = "default-allow"
	negatedUndefined = "negated-undefined"
	denyUndefined    = "deny-undefined"
	nonDeterministic = "non-deterministic"
	unreachableRule  = "unreachable-rule"
	clientIdentity   = "client-controlled-identity"
	unverifiedToken  = "unverified-token"
	tokenAlgorithm   = "token-algorithm"
	rawTokenCompare  = "raw-token-compare"
	pathPrefix       = "path-prefix"
	rawPath          = "raw-path"
	methodNegation   = "method-negation"
	hostSpelling     = "case-sensitive-host"
	untypedCompare   = "untyped-comparison"
	emptyEvery       = "empty-every"
	badIgnore        = "bad-ignore"
	unusedIgnore     = "unused-ignore"
)

// kinds lists them all.
var kinds = []Kind{
	{defaultAllow, "write default allow := false, and a rule for every request that may pass"},
	{negatedUndefined, "ask for what must be there in the same rule (is_boolean(x), x == false), or turn the condition round: allow what is known to be good"},
	{denyUndefined, "deny where it is missing too (deny if not x, as a rule of its own), or ask for it in the rule that allows"},
	{nonDeterministic, "use input.attributes.request.time for the time of the request; where the answer must change by itself, say why in an ignore comment"},
	{unreachableRule, "call it from the entrypoint, delete it, or mark its package as a library (METADATA, custom: {library: true})"},
	{clientIdentity, "take the identity from input.tokens or input.source.principal, which are verified"},
	{unverifiedToken, "read input.tokens, or verify the same token with io.jwt.decode_verify"},
	{tokenAlgorithm, "write the algorithm and the key in the policy or in data; or use jwt.rules, and read input.tokens"},
	{rawTokenCompare, "use a token with jwt.rules; or keep a hash of the secret in data and compare crypto.sha256 of the header"},
	{pathPrefix, "compare segments, input.parsed_path[0] == \"public\", or end the prefix with a slash and anchor the pattern"},
	{rawPath, "compare input.parsed_path, which is decoded and has no query; better, allow the paths that are known to be harmless"},
	{methodNegation, "list the methods that may pass: input.attributes.request.http.method in {\"GET\", \"HEAD\"}"},
	{hostSpelling, "compare lower(host) without its port; better, allow the hosts that are known"},
	{untypedCompare, "ask for the type first: is_number(x)"},
	{emptyEvery, "ask for one at least: count(x) > 0"},
	{badIgnore, "write # sallyport:ignore RULE-ID reason"},
	{unusedIgnore, "delete the comment"},
}

// Kinds lists every sort of finding.
func Kinds() []Kind { return append([]Kind(nil), kinds...) }

func mend(id string) string {
	for _, k := range kinds {
		if k.ID == id {
			return k.Mend
		}
	}
	return ""
}
