// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

func healthSeries(check, url string) (healthy, took string) {
	labels := `{check="` + check + `",url="` + url + `"}`
	return "endpoint_healthy" + labels, "endpoint_check_duration_seconds" + labels
}

// TestPermissionDenied: a user who may not read the probe key has been answered.
func TestPermissionDenied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		for _, q := range []string{qLinearizable, qSerializable} {
			w.fakes[0].took[q] = 30 * time.Millisecond
			w.fakes[0].fail[q] = refusal("Range", "PermissionDenied", etcd.ErrPermissionDenied)
		}
		got := w.must(t, newHealth(w.deps))
		for _, check := range []string{"linearizable_read", "serializable_read"} {
			healthy, took := healthSeries(check, urlOf(0))
			got.want(t, series{healthy: 1, took: 0.03})
		}
		if errs := w.memory.Errors(); len(errs) != 0 {
			t.Errorf("errors are counted: %v", errs)
		}
	})
}

// TestLearnerHasOneCheck: what a learner refuses is no sign of ill health.
func TestLearnerHasOneCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.addLearner()
	got := w.must(t, newHealth(w.deps))
	linearizable, took := healthSeries("linearizable_read", urlOf(3))
	serializable, _ := healthSeries("serializable_read", urlOf(3))
	got.want(t, series{linearizable: absent, took: absent, serializable: 1})
	if errs := w.memory.Errors(); len(errs) != 0 {
		t.Errorf("errors are counted: %v", errs)
	}
}

// TestReadThatHangs: without a quorum the member still answers of itself, and the
// duration of the other read says how long it was waited for.
func TestReadThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(1)
		w.fakes[0].hang[qLinearizable] = true
		got := w.must(t, newHealth(w.deps))
		linearizable, linearizableTook := healthSeries("linearizable_read", urlOf(0))
		serializable, serializableTook := healthSeries("serializable_read", urlOf(0))
		got.want(t, series{linearizable: 0, linearizableTook: roundTime.Seconds(), serializable: 1, serializableTook: 0})
	})
}

// TestReadsWithoutStatus: an endpoint that is not up is not healthy, whatever its
// reads say, and has no durations.
func TestReadsWithoutStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(1)
	w.fakes[0].fail[qStatus] = &etcd.Error{Method: "Status", Code: "Unavailable", Err: context.DeadlineExceeded}
	got := w.must(t, newHealth(w.deps))
	linearizable, took := healthSeries("linearizable_read", urlOf(0))
	serializable, _ := healthSeries("serializable_read", urlOf(0))
	got.want(t, series{linearizable: 0, took: absent, serializable: 0})
}

// TestErrorsAreCounted: a read that really fails is.
func TestErrorsAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(2)
	w.fakes[0].fail[qLinearizable] = &etcd.Error{Method: "Range", Code: "Unavailable", Err: errRefused}
	c := newHealth(w.deps)
	w.must(t, c)
	w.must(t, c)
	if errs := w.memory.Errors(); len(errs) != 1 || errs[etcd.Call{Method: "Range", Code: "Unavailable"}] != 2 {
		t.Errorf("counted %v", errs)
	}
}

// TestDeadLearnerHasOneCheck: it had no linearizable read to fail while it lived.
func TestDeadLearnerHasOneCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	learner := w.addLearner()
	w.must(t, newMembers(w.deps)) // the scrape before
	learner.fail[qAll] = &etcd.Error{Method: "Status", Code: "Unavailable", Err: syscall.ECONNREFUSED}
	linearizable, _ := healthSeries("linearizable_read", urlOf(3))
	serializable, _ := healthSeries("serializable_read", urlOf(3))
	w.must(t, newHealth(w.deps)).want(t, series{linearizable: absent, serializable: 0})
}
