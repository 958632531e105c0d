// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// alarmText is how protobuf prints an AlarmMember. The spaces differ by version
// (3.7 prints two) and by build, the order of the fields is fixed. An id of 0 is
// left out: a corruption whose member etcd could not find has none.
var alarmText = regexp.MustCompile(`^\s*(?:memberID:\s*"?(\d+)"?[\s,]+)?alarm:\s*"?(\w+)"?\s*$`)

// otherErrors are the texts in Status.errors that are no alarm.
var otherErrors = []string{"etcdserver: no leader"}

// ParseAlarms reads the alarms out of Status.errors, where they are to be had
// without the raft entry that AlarmList writes. Texts that are not understood
// come back in unknown: the caller then asks AlarmList once.
func ParseAlarms(texts []string) (alarms []Alarm, unknown []string) {
	for _, text := range texts {
		switch alarm, ok := parseAlarm(text); {
		case ok:
			alarms = append(alarms, alarm)
		case !isOtherError(text):
			unknown = append(unknown, text)
		}
	}
	return alarms, unknown
}

func parseAlarm(text string) (Alarm, bool) {
	m := alarmText.FindStringSubmatch(text)
	if m == nil {
		return Alarm{}, false
	}
	if m[2] != AlarmNoSpace && m[2] != AlarmCorrupt {
		return Alarm{}, false
	}
	alarm := Alarm{Type: m[2]}
	if m[1] != "" {
		var err error
		if alarm.MemberID, err = strconv.ParseUint(m[1], 10, 64); err != nil {
			return Alarm{}, false
		}
	}
	return alarm, true
}

func isOtherError(text string) bool {
	text = strings.TrimSpace(text)
	return text == "" || slices.Contains(otherErrors, text)
}
