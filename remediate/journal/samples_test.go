// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"syscall"
	"testing"
	"time"
)

// settle waits for samples, which nobody waits for.
func (r *rig) settle() { r.ok(r.Resume(r.t.Context(), "test")) }

func TestSamples(t *testing.T) {
	r := newRig(t, Options{})
	for s := range 61 {
		r.AddSample("prod", 7, start.Add(time.Duration(s)*time.Second), int64(s))
	}
	r.AddSample("other", 8, start, 1)
	r.settle()
	r.restart()
	got := r.Samples("prod")
	if len(got) != 5 || got[1] != (Sample{start.Add(15 * time.Second), 7, 15}) {
		t.Errorf("one in 15 s of a minute: %v", got)
	}
	r.AddSample("prod", 7, start, 100) // the time went back
	r.settle()
	if len(r.Samples("prod")) != 5 {
		t.Errorf("samples out of order: %v", r.Samples("prod"))
	}
	r.ok(r.DropSamples("prod", "the clock was set"))
	r.AddSample("prod", 7, start, 100)
	r.settle()
	r.restart()
	if got := r.Samples("prod"); len(got) != 1 || got[0].Revision != 100 || len(r.Samples("other")) != 1 {
		t.Errorf("dropped: %v, other %v", got, r.Samples("other"))
	}
}

// TestSamplesCheap shows that a sample alone asks for no fsync.
func TestSamplesCheap(t *testing.T) {
	f := newFragile()
	r := newRig(t, Options{disk: f.on})
	before := f.syncs
	for s := range 10 {
		r.AddSample("prod", 7, start.Add(time.Duration(s)*time.Minute), int64(s))
	}
	for len(r.Samples("prod")) < 10 { // bounded by the test's own time
		time.Sleep(time.Millisecond)
	}
	f.set(func() {
		if f.syncs != before {
			t.Errorf("%d fsyncs", f.syncs-before)
		}
	})
}

// TestDropSamplesFails shows that wrong samples are not used, whatever the disk says.
func TestDropSamplesFails(t *testing.T) {
	f := newFragile()
	r := newRig(t, Options{disk: f.on})
	r.AddSample("prod", 7, start, 1)
	r.settle()
	f.set(func() { f.syncErr = syscall.EIO })
	if err := r.DropSamples("prod", "x"); err == nil {
		t.Error("no error")
	}
	if got := r.Samples("prod"); len(got) != 0 {
		t.Errorf("samples %v", got)
	}
	f.set(func() { f.syncErr = nil })
	r.clock.Add(retryAfter)
	r.settle()
	r.restart()
	if got := r.Samples("prod"); len(got) != 0 {
		t.Errorf("they are back: %v", got)
	}
}

func TestThin(t *testing.T) {
	s := newState(start)
	const days = 10
	for n := range days * 24 * 240 {
		s.addSample(&putSample{"prod", Sample{start.Add(time.Duration(n) * sampleEvery), 7, int64(n)}})
	}
	all := s.Clusters["prod"].Samples
	now := all[len(all)-1].At
	if len(all) > maxSamples {
		t.Errorf("%d samples", len(all))
	}
	if oldest := now.Sub(all[0].At); oldest < sampleAge-time.Hour || oldest > sampleAge+day {
		t.Errorf("the oldest is %s old", oldest)
	}
	for i := 1; i < len(all); i++ {
		gap, age := all[i].At.Sub(all[i-1].At), now.Sub(all[i].At)
		if gap <= 0 || gap > grain(age+6*time.Hour)+time.Minute+sampleEvery || age < 10*time.Minute && gap != sampleEvery {
			t.Fatalf("a gap of %s at an age of %s", gap, age)
		}
	}
	if all[len(all)-1].Revision != days*24*240-1 {
		t.Error("the newest one is gone")
	}
}
