package replay

import (
	"context"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
	"github.com/sallyport/sallyport/pkg/authz/mask"
	"github.com/sallyport/sallyport/pkg/history"
)

// An answer is a policy's decision, and what a server makes of it.
type answer struct {
	authz.Decision
	given authz.Decision // by the policy
}

// complete does to a policy's decision what a server does to it: the status and the challenge of a denial
// depend on the tokens. What tokens bring to an allowed request is not there.
func complete(ctx context.Context, r *history.Record, given authz.Decision, failed error) answer {
	checker := authz.Checker{Verifier: verified{r.Identity()}, Decider: decided{given, failed}, Recorder: authz.Recorders{}}
	return answer{checker.Check(ctx, r.Request()), given}
}

// verified is the first door of a record.
type verified struct{ authz.Identity }

func (v verified) Verify(context.Context, *authz.Request) (authz.Identity, error) {
	return v.Identity, nil
}

// decided is a second door that has its answer.
type decided struct {
	decision authz.Decision
	err      error
}

func (d decided) Decide(context.Context, *authz.Request, authz.Identity) (authz.Decision, error) {
	return d.decision, d.err
}

// fromRecord is what a record tells of its decision, and another one cut to what can be compared with that:
// values are masked, bodies and scopes are not recorded. What tokens brought to the request is left out of
// the first, and with it the headers that only the recorded policy brought.
func fromRecord(r *history.Record, after authz.Decision) (recorded, cut authz.Decision) {
	recorded = authz.Decision{Allowed: r.Allowed, Reason: r.Reason, Status: r.Status}
	cut = authz.Decision{Allowed: after.Allowed, Reason: after.Reason, Status: after.Status, Metadata: after.Metadata, Detail: after.Detail, ID: after.ID}
	if !r.Allowed || !after.Allowed {
		recorded.Denial, cut.Denial = unchallenged(kept(r.Answer.ResponseHeaders)), unchallenged(masked(after.Denial))
		return recorded, cut
	}
	recorded.Response, cut.Response = kept(r.Answer.ResponseHeaders), masked(after.Response)
	recorded.Upstream.SetQuery, cut.Upstream.SetQuery = parameters(kept(r.Answer.SetQuery)), parameters(maskedQuery(after.Upstream.SetQuery))
	cut.Upstream.SetHeaders = masked(after.Upstream.SetHeaders)
	cut.Upstream.RemoveHeaders, cut.Upstream.RemoveQuery = after.Upstream.RemoveHeaders, after.Upstream.RemoveQuery
	recorded.Upstream.SetHeaders = slices.DeleteFunc(kept(r.Answer.SetHeaders), func(h authz.Header) bool {
		return hasToken(r) && !touches(after.Upstream, h.Name)
	})
	recorded.Upstream.RemoveHeaders = common(r.Answer.RemoveHeaders, after.Upstream.RemoveHeaders)
	recorded.Upstream.RemoveQuery = common(r.Answer.RemoveQuery, after.Upstream.RemoveQuery)
	return recorded, cut
}

func hasToken(r *history.Record) bool { return r.Identity().Authenticated() }

func touches(m authz.Mutation, name string) bool {
	return slices.Contains(m.RemoveHeaders, name) || slices.ContainsFunc(m.SetHeaders, func(h authz.Header) bool { return h.Name == name })
}

func common(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !slices.Contains(some, name) })
}

// unchallenged leaves out what the server's configuration is part of.
func unchallenged(headers []authz.Header) []authz.Header {
	return slices.DeleteFunc(headers, func(h authz.Header) bool { return strings.EqualFold(h.Name, "www-authenticate") })
}

func kept(headers []history.Header) []authz.Header {
	out := make([]authz.Header, len(headers))
	for i, h := range headers {
		out[i] = authz.Header(h)
	}
	return out
}

// masked is what a record has of headers.
func masked(headers []authz.Header) []authz.Header {
	out := make([]authz.Header, len(headers))
	for i, h := range headers {
		out[i] = authz.Header{Name: h.Name, Value: mask.Value(h.Name, h.Value)}
	}
	return out
}

func maskedQuery(query []authz.Parameter) []authz.Header {
	out := make([]authz.Header, len(query))
	for i, p := range query {
		out[i] = authz.Header{Name: p.Name, Value: mask.Value(p.Name, p.Value)}
	}
	return out
}

func parameters(headers []authz.Header) []authz.Parameter {
	out := make([]authz.Parameter, len(headers))
	for i, h := range headers {
		out[i] = authz.Parameter(h)
	}
	return out
}
