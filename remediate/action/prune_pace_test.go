// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

// drive has a pace see a transaction of that latency every 100 ms.
func drive(t *testing.T, p *pace, d, latency time.Duration) error {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
		if err := p.took(time.Now(), latency); err != nil {
			return err
		}
	}
	return nil
}

func TestPaceFollowsLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(2000, newStage(3).Observe(t.Context(), false))
		if p.rate != 500 || p.batch != 60 {
			t.Errorf("it begins with %.0f keys a second, %d in a transaction", p.rate, p.batch)
		}
		if err := drive(t, p, 15*time.Second, 5*time.Millisecond); err != nil || p.rate != 2000 {
			t.Fatalf("all is well, and the rate is %.0f: %v", p.rate, err)
		}
		if err := drive(t, p, 5*time.Second, 14*time.Millisecond); err != nil || p.rate != 2000 {
			t.Errorf("14 ms are no trouble, and the rate is %.0f: %v", p.rate, err)
		}
		if err := drive(t, p, 4*time.Second, 100*time.Millisecond); err != nil || p.rate > 300 {
			t.Errorf("latency rose 20 times, and the rate is %.0f: %v", p.rate, err)
		}
		low := p.rate
		if err := drive(t, p, 5*time.Second, 5*time.Millisecond); err != nil || p.rate < low+400 || p.rate > 2000 {
			t.Errorf("all is well again, and the rate is %.0f after %.0f: %v", p.rate, low, err)
		}
		err := drive(t, p, time.Minute, 100*time.Millisecond)
		if b, ok := remediate.AsBlocked(err); !ok || b.Guard != refusedPressure || b.After <= 0 {
			t.Errorf("it goes on while the cluster suffers: %v", err)
		}
		if p.rate < 2000/slowest {
			t.Errorf("the rate fell to %.1f", p.rate)
		}
	})
}

func TestPaceBesideASlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(1000, newStage(3).Observe(t.Context(), false))
		if err := drive(t, p, time.Minute, 80*time.Millisecond); err != nil || p.rate != 1000 {
			t.Errorf("80 ms are usual here, and the rate is %.0f: %v", p.rate, err)
		}
	})
}

func TestPaceKeepsTheCeiling(t *testing.T) {
	for _, perSecond := range []int{1, 20, 1000, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			p := newPace(perSecond, newStage(3).Observe(t.Context(), false))
			begun, keys, txns := time.Now(), 0, 0
			for time.Since(begun) < 30*time.Second {
				if err := p.wait(t.Context(), p.batch); err != nil {
					t.Fatal(err)
				}
				keys, txns = keys+p.batch, txns+1
				if err := p.took(time.Now(), time.Millisecond); err != nil {
					t.Fatal(err)
				}
			}
			took := time.Since(begun).Seconds()
			if most := float64(perSecond)*took + float64(p.batch); float64(keys) > most {
				t.Errorf("%d a second: %d keys in %.1f s", perSecond, keys, took)
			}
			if least := float64(perSecond) * took / 4; float64(keys) < min(least, float64(maxBatch)*20*took) {
				t.Errorf("%d a second: only %d keys in %.1f s", perSecond, keys, took)
			}
			if most := int(took/gap.Seconds()) + 1; txns > most {
				t.Errorf("%d a second: %d transactions in %.1f s", perSecond, txns, took)
			}
		})
	}
}

func TestPaceWatchesTheCluster(t *testing.T) {
	const gib = 1 << 30
	for name, test := range map[string]struct {
		edit  func(o *remediate.Observation)
		stops bool
		slows bool
	}{
		"as before":           {func(*remediate.Observation) {}, false, false},
		"a few slow watchers": {func(o *remediate.Observation) { o.Members[1].Vitals.SlowWatchers = 5 }, false, false},
		"slow watchers":       {func(o *remediate.Observation) { o.Members[1].Vitals.SlowWatchers = 50 }, false, true},
		"pending events":      {func(o *remediate.Observation) { o.Members[2].Vitals.PendingEvents = 5000 }, false, true},
		"pages of the file":   {func(o *remediate.Observation) { o.Members[0].Vitals.Resident += 90 << 20 }, false, false},
		"memory":              {func(o *remediate.Observation) { o.Members[0].Vitals.Resident += gib }, false, true},
		"vitals unknown": {func(o *remediate.Observation) {
			o.Members[0].Vitals.Resident += gib
			o.Members[0].VitalsErr = errors.New("refused")
		}, false, false},
		"an alarm": {func(o *remediate.Observation) {
			o.Alarms = []etcd.Alarm{{MemberID: 1, Type: etcd.AlarmNoSpace}}
		}, true, false},
		"a member is gone": {func(o *remediate.Observation) { o.Members[1].ReadErr = errors.New("refused") }, true, false},
		"no leader":        {func(o *remediate.Observation) { o.Members[1].Status.Leader = 0 }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(3)
			for i := range s.members {
				s.members[i].Vitals = remediate.Vitals{Resident: 100 << 20, PendingEvents: 10}
			}
			p := newPace(1000, s.Observe(t.Context(), false))
			s.edit = test.edit
			err := p.saw(time.Now(), s.Observe(t.Context(), false))
			if b, ok := remediate.AsBlocked(err); ok != test.stops || ok && b.Guard != refusedPressure {
				t.Errorf("stops: %v", err)
			}
			if slows := p.trouble() != ""; slows != test.slows {
				t.Errorf("slows down: %t (%s)", slows, p.trouble())
			}
		})
	}
}

func TestAlarmsThatWereThereDoNotStopAPrune(t *testing.T) {
	s := newStage(3)
	s.alarms = []etcd.Alarm{{MemberID: 1, Type: etcd.AlarmNoSpace}}
	p := newPace(1000, s.Observe(t.Context(), false))
	s.alarms = append(s.alarms, etcd.Alarm{MemberID: 2, Type: etcd.AlarmNoSpace})
	if err := p.saw(time.Now(), s.Observe(t.Context(), false)); err != nil {
		t.Error(err)
	}
	s.alarms = append(s.alarms, etcd.Alarm{MemberID: 2, Type: etcd.AlarmCorrupt})
	if err := p.saw(time.Now(), s.Observe(t.Context(), false)); err == nil {
		t.Error("CORRUPT does not stop it")
	}
}
