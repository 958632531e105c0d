// SPDX-License-Identifier: Apache-2.0

package clockskew

import (
	"fmt"
	"time"
)

// dateLayouts are the three forms a reader of HTTP dates has to accept (RFC
// 9110, 5.6.7); servers of today send the first. All are in GMT.
var dateLayouts = [...]string{
	"Mon, 02 Jan 2006 15:04:05 GMT",
	"Monday, 02-Jan-06 15:04:05 GMT",
	time.ANSIC,
}

// maxQuoted is how many bytes of a bad header an error repeats: the header is
// whatever answered, and errors end up in logs.
const maxQuoted = 40

// ParseDate reads the value of a Date header. It is strict: the value must be
// what formatting the result gives, so a wrong weekday, a fraction, another
// zone or stray space is an error.
func ParseDate(header string) (time.Time, error) {
	if len(header) > maxQuoted { // the longest form has 33
		return time.Time{}, fmt.Errorf("not an http date: %q... (%d bytes)", header[:maxQuoted], len(header))
	}
	for _, layout := range dateLayouts {
		t, err := time.Parse(layout, header)
		if err == nil && t.Format(layout) == header {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("not an http date: %q", header)
}
