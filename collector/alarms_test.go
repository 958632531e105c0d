// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

func alarmSeries(kind string, member int) string {
	return fmt.Sprintf("alarm_active{alarm=%q,member=\"m%d\",member_id=%q}", kind, member, etcd.FormatID(idOf(member)))
}

// everybodySays sets the errors of every endpoint's Status.
func (w *world) everybodySays(texts ...string) {
	for _, f := range w.fakes {
		f.status.Errors = texts
	}
}

func TestAlarmsFromStatus(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		texts []string
		want  series
	}{
		"none":                {nil, series{alarmSeries("NOSPACE", 0): 0, alarmSeries("CORRUPT", 2): 0}},
		"no leader is none":   {[]string{"etcdserver: no leader"}, series{alarmSeries("NOSPACE", 1): 0}},
		"one":                 {[]string{"memberID:161 alarm:NOSPACE "}, series{alarmSeries("NOSPACE", 1): 1, alarmSeries("NOSPACE", 0): 0, alarmSeries("CORRUPT", 1): 0}},
		"as 3.7 writes it":    {[]string{"memberID:161  alarm:NOSPACE"}, series{alarmSeries("NOSPACE", 1): 1}},
		"of two members":      {[]string{"memberID:160 alarm:NOSPACE ", "memberID:162 alarm:CORRUPT "}, series{alarmSeries("NOSPACE", 0): 1, alarmSeries("CORRUPT", 2): 1, alarmSeries("NOSPACE", 2): 0}},
		"two of one member":   {[]string{"memberID:160 alarm:NOSPACE ", "memberID:160 alarm:CORRUPT "}, series{alarmSeries("NOSPACE", 0): 1, alarmSeries("CORRUPT", 0): 1}},
		"and no leader":       {[]string{"etcdserver: no leader", "memberID:160 alarm:CORRUPT "}, series{alarmSeries("CORRUPT", 0): 1}},
		"of a removed member": {[]string{"memberID:255 alarm:NOSPACE "}, series{`alarm_active{alarm="NOSPACE",member="",member_id="ff"}`: 1, alarmSeries("NOSPACE", 0): 0}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(3)
			w.everybodySays(tt.texts...)
			w.must(t, newAlarms(w.deps)).want(t, tt.want)
			if asked := w.calls(qAlarmList); asked != 0 {
				t.Errorf("AlarmList, which writes to the raft log, was asked %d times", asked)
			}
		})
	}
}

// TestAlarmThatOneMemberTellsOf: one member's word is enough.
func TestAlarmThatOneMemberTellsOf(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.fakes[2].status.Errors = []string{"memberID:160 alarm:NOSPACE "}
	w.must(t, newAlarms(w.deps)).want(t, series{alarmSeries("NOSPACE", 0): 1})
}

// TestUnknownText: AlarmList is asked about it once, and not again for 10 minutes
// whatever other texts come.
func TestUnknownText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(3)
		c := newAlarms(w.deps)
		for _, f := range w.fakes {
			f.alarms = []etcd.Alarm{{MemberID: idOf(1), Type: etcd.AlarmCorrupt}}
		}
		w.everybodySays("ALARM<161;CORRUPT>")
		want := func(asked int, active float64) {
			t.Helper()
			w.must(t, c).want(t, series{alarmSeries("CORRUPT", 1): active, alarmSeries("NOSPACE", 1): 0})
			if got := w.calls(qAlarmList); got != asked {
				t.Errorf("AlarmList was asked %d times, want %d", got, asked)
			}
		}
		want(1, 1)
		for i := range 100 { // new texts, every 5 s
			w.everybodySays(fmt.Sprintf("invented %d", i))
			time.Sleep(5 * time.Second)
			want(1, 1)
		}
		w.everybodySays("ALARM<161;CORRUPT>")
		time.Sleep(24 * time.Hour) // a text that was explained stays so
		want(1, 1)
		w.everybodySays("something else")
		want(2, 1)
		w.everybodySays()
		want(2, 0)
	})
}

// TestUnknownTextSurvivesAnOutage: that nobody answers does not unsay an alarm.
func TestUnknownTextSurvivesAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(2)
		c := newAlarms(w.deps)
		for _, f := range w.fakes {
			f.alarms = []etcd.Alarm{{MemberID: idOf(1), Type: etcd.AlarmNoSpace}}
		}
		w.everybodySays("?")
		w.must(t, c).want(t, series{alarmSeries("NOSPACE", 1): 1})
		w.dead(0, 1)
		_, _ = w.scrape(t.Context(), c)
		w.alive(0, 1)
		w.must(t, c).want(t, series{alarmSeries("NOSPACE", 1): 1})
	})
}

// TestAlarmListThatFails: it is an error, and tried again after the pause.
func TestAlarmListThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		c := newAlarms(w.deps)
		f := w.fakes[0]
		f.status.Errors = []string{"?"}
		f.alarms = []etcd.Alarm{{MemberID: idOf(0), Type: etcd.AlarmNoSpace}}
		f.fail[qAlarmList] = errors.New("permission denied")
		for range 3 {
			if _, err := w.scrape(t.Context(), c); err == nil {
				t.Error("a text that nobody explains is no error")
			}
			time.Sleep(15 * time.Second)
		}
		if asked := w.calls(qAlarmList); asked != 1 {
			t.Errorf("AlarmList was asked %d times, want once", asked)
		}
		delete(f.fail, qAlarmList)
		time.Sleep(10 * time.Minute)
		w.must(t, c).want(t, series{alarmSeries("NOSPACE", 0): 1})
	})
}

// TestStrangersAreBounded: an endpoint that invents members costs a bounded
// number of series, and the members' own are there all the same.
func TestStrangersAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	texts := []string{"memberID:161 alarm:NOSPACE "}
	for i := range 1000 {
		texts = append(texts, fmt.Sprintf("memberID:%d alarm:CORRUPT ", 1000+i))
	}
	w.fakes[0].status.Errors = texts
	got := w.must(t, newAlarms(w.deps))
	got.want(t, series{alarmSeries("NOSPACE", 1): 1})
	if len(got) != 3*2+maxStrangers {
		t.Errorf("%d series", len(got))
	}
}
