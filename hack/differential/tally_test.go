package differential_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sallyport/sallyport/pkg/authz"
)

// A verdict is what pkg/token said to a token, and how many witnesses took it.
type verdict struct {
	reason authz.Reason
	takers int
}

// A tally counts verdicts.
type tally map[verdict]int

func (c tally) add(other tally) {
	for v, n := range other {
		c[v] += n
	}
}

func (c tally) total() (sum int) {
	for _, n := range c {
		sum += n
	}
	return sum
}

func (c tally) accepted() int { return c[verdict{authz.Allowed, len(witnesses)}] }

// String is the table of what pkg/token refuses, by its Reason and by how many witnesses would
// have taken it.
func (c tally) String() string {
	reasons := make(map[authz.Reason]bool)
	for v := range c {
		if v.reason != authz.Allowed {
			reasons[v.reason] = true
		}
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "reason\tboth refuse\tone accepts\tboth accept\t")
	for _, r := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", r, c[verdict{r, 0}], c[verdict{r, 1}], c[verdict{r, 2}])
	}
	w.Flush()
	return text.String()
}
