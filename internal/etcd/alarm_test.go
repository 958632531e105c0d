// SPDX-License-Identifier: Apache-2.0

package etcd

import (
	"slices"
	"strconv"
	"testing"
)

func TestParseAlarms(t *testing.T) {
	const id = 10276657743932975437
	noSpace, corrupt := Alarm{id, AlarmNoSpace}, Alarm{id, AlarmCorrupt}
	for _, test := range []struct {
		name, text string
		alarm      *Alarm
		unknown    bool
	}{
		{"3.4 to 3.6", "memberID:10276657743932975437 alarm:NOSPACE ", &noSpace, false},
		{"3.7", "memberID:10276657743932975437  alarm:NOSPACE", &noSpace, false},
		{"corrupt", "memberID:10276657743932975437 alarm:CORRUPT ", &corrupt, false},
		{"member not found", "alarm:CORRUPT ", &Alarm{0, AlarmCorrupt}, false},
		{"multi-line printer", "memberID: 10276657743932975437\nalarm: NOSPACE\n", &noSpace, false},
		{"JSON printer's quotes", `memberID:"10276657743932975437", alarm:"NOSPACE"`, &noSpace, false},
		{"largest id", "memberID:18446744073709551615 alarm:NOSPACE ", &Alarm{1<<64 - 1, AlarmNoSpace}, false},
		{"no leader", "etcdserver: no leader", nil, false},
		{"empty", "", nil, false},
		{"id too large", "memberID:18446744073709551616 alarm:NOSPACE ", nil, true},
		{"hex id", "memberID:8e9e05c52164694d alarm:NOSPACE ", nil, true},
		{"new kind", "memberID:1 alarm:ONFIRE ", nil, true},
		{"number as kind", "memberID:1 alarm:1 ", nil, true},
		{"no kind", "memberID:1 ", nil, true},
		{"two in one", "memberID:1 alarm:NOSPACE memberID:2 alarm:NOSPACE ", nil, true},
		{"something before", "x memberID:1 alarm:NOSPACE ", nil, true},
		{"other error", "etcdserver: too many requests", nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			alarms, unknown := ParseAlarms([]string{test.text})
			if test.alarm != nil && !slices.Equal(alarms, []Alarm{*test.alarm}) || test.alarm == nil && len(alarms) > 0 {
				t.Errorf("ParseAlarms(%q) = %v, want %v", test.text, alarms, test.alarm)
			}
			if (len(unknown) > 0) != test.unknown {
				t.Errorf("ParseAlarms(%q) does not understand %q", test.text, unknown)
			}
		})
	}
}

func TestParseAlarmsKeepsOrder(t *testing.T) {
	alarms, unknown := ParseAlarms([]string{"?", "memberID:2 alarm:CORRUPT ", "etcdserver: no leader", "memberID:1 alarm:NOSPACE ", "!"})
	if want := []Alarm{{2, AlarmCorrupt}, {1, AlarmNoSpace}}; !slices.Equal(alarms, want) {
		t.Errorf("alarms = %v, want %v", alarms, want)
	}
	if want := []string{"?", "!"}; !slices.Equal(unknown, want) {
		t.Errorf("unknown = %q, want %q", unknown, want)
	}
}

func FuzzParseAlarms(f *testing.F) {
	f.Add("memberID:10276657743932975437 alarm:NOSPACE ")
	f.Fuzz(func(t *testing.T, text string) {
		alarms, unknown := ParseAlarms([]string{text})
		if len(alarms)+len(unknown) > 1 {
			t.Fatalf("one text gives %v and %q", alarms, unknown)
		}
		for _, a := range alarms {
			if a.Type != AlarmNoSpace && a.Type != AlarmCorrupt {
				t.Fatalf("%q gives alarm %q", text, a.Type)
			}
			printed := "memberID:" + strconv.FormatUint(a.MemberID, 10) + " alarm:" + a.Type + " "
			if again, _ := ParseAlarms([]string{printed}); !slices.Equal(again, alarms) {
				t.Fatalf("%q gives %v, printed again %v", text, alarms, again)
			}
		}
	})
}
