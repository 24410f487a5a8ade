package envoy

import (
	"net/url"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/sallyport/sallyport/pkg/authz"
)

// setParameters are encoded here: Envoy puts them into the path as they are.
func setParameters(m authz.Mutation) []*corev3.QueryParameter {
	out := make([]*corev3.QueryParameter, 0, len(m.SetQuery))
	for _, p := range m.SetQuery {
		out = append(out, &corev3.QueryParameter{Key: escape(p.Name), Value: escape(p.Value)})
	}
	return out
}

// escape writes a space as "%20", which is one to every reader; "+" is one in forms alone.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// removedParameters are the names to remove, also as the client spelled them: Envoy compares a name
// with the path as it stands there, so that "access%5Ftoken" would get past the removal of
// "access_token", and "r%6Fle" past a "role" that is set.
func removedParameters(req *authz.Request, m authz.Mutation) []string {
	names := slices.Clone(m.RemoveQuery)
	if req.HTTP == nil || len(m.RemoveQuery)+len(m.SetQuery) == 0 {
		return names
	}
	_, query, _ := strings.Cut(req.HTTP.Path.Raw, "?")
	for pair := range strings.SplitSeq(query, "&") {
		spelled, _, _ := strings.Cut(pair, "=")
		if !slices.Contains(names, spelled) && changes(m, spelled) {
			names = append(names, spelled)
		}
	}
	return names
}

// changes tells whether m removes a parameter, or sets it in another spelling than this one.
func changes(m authz.Mutation, spelled string) bool {
	name, err := url.QueryUnescape(spelled)
	if err != nil { // then the request was refused
		return false
	}
	isSet := func(p authz.Parameter) bool { return p.Name == name && escape(name) != spelled }
	return slices.Contains(m.RemoveQuery, name) || slices.ContainsFunc(m.SetQuery, isSet)
}
