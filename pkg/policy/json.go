package policy

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/sallyport/sallyport/pkg/authz"
)

// maxNumber is the longest number read from a body. A longer one is no quantity, and arithmetic
// on it is dear.
const maxNumber = 320 // the digits of the largest float64, and some

// parseJSON reads a body straight into a Rego value. It refuses what two readers could take for
// two documents: a member that comes twice (RFC 8259, section 4, leaves open which counts) and
// bytes that are not UTF-8. It refuses a number that no float64 can hold, because arithmetic on
// 1e999999999 takes memory without end. Nesting is limited to 10,000 by encoding/json.
func parseJSON(body string) (ast.Value, error) {
	if !utf8.ValidString(body) {
		return nil, notUTF8()
	}
	if !json.Valid([]byte(body)) {
		return nil, refuse(authz.BodyMalformed, "read body: not JSON")
	}
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	return readValue(decoder)
}

// readValue reads the next value. The text is known to be valid.
func readValue(decoder *json.Decoder) (ast.Value, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, refuse(authz.BodyMalformed, "read body: not JSON")
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return readObject(decoder)
		}
		return readArray(decoder)
	case json.Number:
		return readNumber(t.String())
	case string:
		return ast.String(t), nil
	case bool:
		return ast.Boolean(t), nil
	}
	return ast.NullValue, nil
}

func readNumber(text string) (ast.Value, error) {
	if _, err := strconv.ParseFloat(text, 64); err != nil || len(text) > maxNumber {
		return nil, refuse(authz.BodyMalformed, "read body: a number out of range")
	}
	return ast.Number(text), nil
}

func readArray(decoder *json.Decoder) (ast.Value, error) {
	var elements []*ast.Term
	for decoder.More() {
		value, err := readValue(decoder)
		if err != nil {
			return nil, err
		}
		elements = append(elements, ast.NewTerm(value))
	}
	_, err := decoder.Token() // the closing bracket
	return ast.NewArray(elements...), err
}

func readObject(decoder *json.Decoder) (ast.Value, error) {
	var members document
	seen := map[string]bool{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, refuse(authz.BodyMalformed, "read body: not JSON")
		}
		if seen[name] {
			return nil, refuse(authz.BodyMalformed, "read body: a JSON member comes twice")
		}
		seen[name] = true
		value, err := readValue(decoder)
		if err != nil {
			return nil, err
		}
		members.set(name, value)
	}
	_, err := decoder.Token() // the closing brace
	return members.value(), err
}
