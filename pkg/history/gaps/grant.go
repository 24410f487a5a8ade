package gaps

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A grant is something that an issuer gave to the holder of a token.
type grant struct {
	slot  string
	claim string // scope, scp, roles, groups or realm_access.roles
	value string
}

func (g grant) String() string { return g.claim + " " + g.value + " in " + g.slot }

func compareGrants(a, b grant) int {
	return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.claim, b.claim), cmp.Compare(a.value, b.value))
}

// grantClaims are the claims that hold grants: of RFC 8693, section 4.2, and RFC 9068, section 2.2.3.1, of
// Microsoft and Okta, and of Keycloak.
var grantClaims = []string{"scope", "scp", "roles", "groups", "realm_access.roles"}

// grantsOf are those of an identity, sorted.
func grantsOf(id authz.Identity) []grant {
	found := map[grant]bool{}
	for slot, token := range id.Tokens {
		if token.Status != authz.TokenValid {
			continue
		}
		for _, claim := range grantClaims {
			for _, value := range values(claimOf(token.Claims, claim)) {
				found[grant{slot, claim, value}] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), compareGrants)
}

// claimOf reads a claim, or a member of one after a dot.
func claimOf(claims map[string]any, name string) any {
	outer, inner, nested := strings.Cut(name, ".")
	if !nested {
		return claims[name]
	}
	object, _ := claims[outer].(map[string]any)
	return object[inner]
}

// values are the words of a text, or the texts of a list.
func values(claim any) []string {
	switch claim := claim.(type) {
	case string:
		return strings.Fields(claim)
	case []any:
		var out []string
		for _, item := range claim {
			if text, ok := item.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}

// without is the identity, less one grant.
func without(id authz.Identity, g grant) authz.Identity {
	token, ok := id.Tokens[g.slot]
	if !ok {
		return id
	}
	token.Claims = maps.Clone(token.Claims)
	outer, inner, nested := strings.Cut(g.claim, ".")
	if !nested {
		token.Claims[outer] = less(token.Claims[outer], g.value)
	} else if object, ok := token.Claims[outer].(map[string]any); ok {
		object = maps.Clone(object)
		object[inner] = less(object[inner], g.value)
		token.Claims[outer] = object
	}
	out := id
	out.Tokens = maps.Clone(id.Tokens)
	out.Tokens[g.slot] = token
	return out
}

// less is a claim without one of its values.
func less(claim any, value string) any {
	switch claim := claim.(type) {
	case string:
		return strings.Join(slices.DeleteFunc(strings.Fields(claim), func(word string) bool { return word == value }), " ")
	case []any:
		return slices.DeleteFunc(slices.Clone(claim), func(item any) bool { return item == value })
	}
	return claim
}
