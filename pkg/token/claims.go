package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sallyport/sallyport/pkg/authz"
)

// registeredClaims are the claims that Sallyport reads. None may come in another case.
var registeredClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "azp", "sid", "cnf", "nonce", "at_hash", "c_hash", "s_hash", "events",
}

// maxDate is the first second of the year 10000, which no date format here can write.
const maxDate = 253402300800

// times are the dates of a token; zero where absent.
type times struct {
	expires, notBefore, issued time.Time
}

// checkClaims judges the claims of a token whose signature is good. Types come first, then what
// the token is, then time, then audience.
func (r *rule) checkClaims(s *sighting, now time.Time, leeway time.Duration) (times, error) {
	t := s.token
	s.trace.next(CheckClaims)
	dates, err := readClaims(t.claims)
	if err != nil {
		return dates, refusal(authz.TokenClaims, "%w", err)
	}
	s.trace.next(CheckKind)
	if err := checkKind(t); err != nil {
		return dates, err
	}
	if r.maxLifetime > 0 {
		s.trace.next(CheckLifetime)
		if err := r.checkLifetime(dates); err != nil {
			return dates, err
		}
	}
	s.trace.next(CheckTime)
	if err := dates.check(now, leeway); err != nil {
		return dates, err
	}
	s.trace.next(CheckAudience)
	audience, _ := readAudience(t.claims["aud"])
	if !slices.ContainsFunc(audience, func(a string) bool { return slices.Contains(r.audiences, a) }) {
		return dates, refusal(authz.TokenAudience, "aud names none of the rule's audiences")
	}
	return dates, nil
}

// checkLifetime holds a token to the rule's longest life. Without iat nobody knows how long it
// lives, so iat must be there.
func (r *rule) checkLifetime(dates times) error {
	switch {
	case dates.issued.IsZero():
		return refusal(authz.TokenClaims, "iat is missing, which the rule's maxLifetime needs")
	case dates.expires.Sub(dates.issued) > r.maxLifetime:
		return refusal(authz.TokenClaims, "exp is more than %s after iat", r.maxLifetime)
	}
	return nil
}

// readClaims holds the claims that are read here to their types (RFC 7519, section 4.1). exp and aud
// must be there; iss is, or a JWT-SVID's sub, or no rule would have been found.
func readClaims(claims map[string]any) (times, error) {
	var dates times
	for _, name := range []string{"exp", "aud"} {
		if _, present := claims[name]; !present {
			return dates, fmt.Errorf("%s is missing", name)
		}
	}
	for _, d := range []struct {
		name string
		date *time.Time
	}{{"exp", &dates.expires}, {"nbf", &dates.notBefore}, {"iat", &dates.issued}} {
		if value, present := claims[d.name]; present {
			date, err := readDate(value)
			if err != nil {
				return dates, fmt.Errorf("%s: %w", d.name, err)
			}
			*d.date = date
		}
	}
	for _, name := range []string{"sub", "jti", "client_id", "azp", "sid"} {
		if text, ok := optionalString(claims, name); !ok || text == "" && claims[name] != nil {
			return dates, fmt.Errorf("%s is no string, or empty", name)
		}
	}
	if _, err := readAudience(claims["aud"]); err != nil {
		return dates, err
	}
	if !dates.issued.IsZero() && !dates.issued.Before(dates.expires) {
		return dates, errors.New("exp is not after iat")
	}
	return dates, nil
}

// readDate reads a NumericDate (RFC 7519, section 2): a JSON number, with or without a fraction.
func readDate(value any) (time.Time, error) {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, errors.New("not a number")
	}
	seconds, err := number.Float64()
	if err != nil || seconds <= 0 || seconds >= maxDate {
		return time.Time{}, errors.New("not a date between 1970 and 9999")
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), nil
}

// readAudience reads aud: a string or an array of strings (RFC 7519, section 4.1.3).
func readAudience(value any) ([]string, error) {
	bad := errors.New("aud is neither a string nor an array of strings, or empty")
	elements, ok := value.([]any)
	if !ok {
		elements = []any{value}
	}
	if len(elements) == 0 {
		return nil, bad
	}
	audience := make([]string, 0, len(elements))
	for _, element := range elements {
		text, ok := element.(string)
		if !ok || text == "" {
			return nil, bad
		}
		audience = append(audience, text)
	}
	return audience, nil
}

// check compares the dates with the clock. A token lives until exp+leeway, that instant excluded,
// and from nbf-leeway on, that instant included.
func (d times) check(now time.Time, leeway time.Duration) error {
	latest := now.Add(leeway)
	switch {
	case !now.Before(d.expires.Add(leeway)):
		return refusal(authz.TokenExpired, "exp has passed")
	case d.notBefore.After(latest):
		return refusal(authz.TokenNotYetValid, "nbf lies ahead")
	case d.issued.After(latest):
		return refusal(authz.TokenNotYetValid, "iat lies ahead")
	}
	return nil
}

// checkKind refuses what is signed by the issuer and yet no access token.
//
// An ID token tells a client who logged in; it is not for an API (OpenID Connect Core, section 2).
// It shows by nonce and the hashes of what it was issued with, which no access token needs. A
// security event or logout token shows by an object of events (RFC 8417, section 2.2). A token of type at+jwt
// is an access token by its word (RFC 9068, section 5) and keeps that profile instead.
func checkKind(t *jws) error {
	if t.typ == "at+jwt" {
		return checkProfile(t.claims)
	}
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash"} {
		if _, present := t.claims[name]; present {
			return unsupported("%s shows an ID token, not an access token", name)
		}
	}
	if _, isEvent := t.claims["events"].(map[string]any); isEvent {
		return unsupported("events shows a security event, not an access token")
	}
	return nil
}
