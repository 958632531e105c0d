// SPDX-License-Identifier: Apache-2.0

//go:build linux

package operations

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// rule is the line of a table that is as long as its cells happen to be.
var rule = regexp.MustCompile(`-{3,}`)

// plain is a line without what varies in its shape alone.
func plain(line string) string {
	return rule.ReplaceAllString(strings.Join(strings.Fields(line), " "), "---")
}

// compare holds what a page says against what was written: each line must occur, in
// this order.
func compare(want []string, output string) error {
	rest := strings.Split(output, "\n")
	for _, line := range want {
		text := plain(line)
		if text == "" || text == "..." {
			continue
		}
		pattern, err := regexp.Compile("^" + strings.ReplaceAll(regexp.QuoteMeta(text), `\.\.\.`, ".*") + "$")
		if err != nil {
			return err
		}
		at := slices.IndexFunc(rest, func(l string) bool { return pattern.MatchString(plain(l)) })
		if at < 0 {
			return fmt.Errorf("this line does not occur where the page has it: %s", line)
		}
		rest = rest[at+1:]
	}
	return nil
}
