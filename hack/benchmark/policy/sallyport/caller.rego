# Sallyport has verified the token before the policy is asked.
package bench.caller

claims := input.tokens.users.claims
