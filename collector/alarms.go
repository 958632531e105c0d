// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/etcdops/etcdops/internal/etcd"
)

var alarmsMetrics = []Metric{
	gauge("alarm_active", "1 when the alarm is raised for the member; one series for every member and alarm. alarm: NOSPACE (writes are refused), CORRUPT. Learned from Status, which writes nothing to the raft log.", "member_id", "member", "alarm"),
}

const (
	// alarmListPause is the least time between two AlarmLists, each of which
	// writes a raft entry: an endpoint that invents texts cannot cause more.
	alarmListPause = 10 * time.Minute
	// maxStrangers bounds the series of alarms for members that are not listed.
	maxStrangers = 32
)

type alarms struct {
	subject

	mu        sync.Mutex
	text      string       // the last one that AlarmList explained
	asked     time.Time    // AlarmList, because of a text
	explained []etcd.Alarm // what AlarmList said then
	err       error        // why it said nothing when it was last asked
}

func newAlarms(Deps) Collector {
	return &alarms{subject: newSubject("alarms", "The alarms that are raised (Maintenance.Status).", alarmsMetrics)}
}

func (c *alarms) Collect(ctx context.Context, view *etcd.View) ([]prometheus.Metric, error) {
	b := c.batch()
	active := map[etcd.Alarm]bool{}
	answered, understood := false, true
	statuses := view.Statuses(ctx)
	for i, status := range statuses {
		if status == nil {
			continue
		}
		answered = true
		found, unknown := etcd.ParseAlarms(status.Errors)
		if len(unknown) > 0 {
			understood = false
			more, err := c.explain(ctx, view, view.Endpoints()[i], unknown[0])
			b.fail(err)
			found = append(found, more...)
		}
		for _, alarm := range found {
			active[alarm] = true
		}
	}
	if !answered {
		b.fail(errors.New("no endpoint answers"))
		return b.done()
	}
	if understood {
		c.forget()
	}
	membership, err := view.Members(ctx)
	if err == nil {
		for _, m := range membership.Members {
			for _, kind := range []string{etcd.AlarmNoSpace, etcd.AlarmCorrupt} {
				alarm := etcd.Alarm{MemberID: m.ID, Type: kind}
				b.add("alarm_active", number(active[alarm]), etcd.FormatID(m.ID), m.Name, kind)
				delete(active, alarm)
			}
		}
	}
	strangers := 0
	for alarm := range active { // of a member that was removed: it blocks writes all the same
		if strangers++; strangers <= maxStrangers {
			b.add("alarm_active", 1, etcd.FormatID(alarm.MemberID), "", alarm.Type)
		}
	}
	return b.done()
}

// explain asks AlarmList about a text that is not understood, once; where that
// fails, again after the pause.
func (c *alarms) explain(ctx context.Context, view *etcd.View, e etcd.Endpoint, text string) ([]etcd.Alarm, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case text == c.text:
		return c.explained, nil
	case time.Since(c.asked) < alarmListPause:
		return c.explained, c.err
	}
	c.asked = time.Now()
	list, err := view.API(e).AlarmList(ctx)
	if err != nil {
		view.Count(err)
		c.err = fmt.Errorf("%s: alarm text %.100q is not understood and AlarmList fails: %w", e.URL, text, err)
		return c.explained, c.err
	}
	c.text, c.explained, c.err = text, list, nil
	return list, nil
}

func (c *alarms) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text, c.explained, c.err = "", nil, nil
}
