// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"context"
	"crypto/x509"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// all is every collector, as a Set keeps them.
func (w *world) all() []Collector {
	var made []Collector
	for _, choice := range All() {
		made = append(made, choice.New(w.deps))
	}
	return made
}

// round runs collectors side by side on one view, as a Set does.
func (w *world) round(t *testing.T, collectors []Collector) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), roundTime)
	defer cancel()
	view := w.view(ctx)
	defer view.Close()
	var wg sync.WaitGroup
	for _, c := range collectors {
		wg.Go(func() {
			if _, err := c.Collect(ctx, view); err != nil {
				t.Errorf("collector %s: %v", c.Name(), err)
			}
		})
	}
	wg.Wait()
}

// TestRequestBudget: a warm scrape by all collectors puts each question once, at
// most 6 to an endpoint and 6 to the cluster, background work not counted.
func TestRequestBudget(t *testing.T) {
	t.Parallel()
	for name, quota := range map[string]int64{"Status tells the quota": 8000, "its metrics do": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(5)
				w.addLearner()
				w.set(40, 100)
				for _, f := range w.fakes {
					f.status.DBQuota, f.quota = quota, 7000
					f.took[qAll] = time.Millisecond
					f.chain = []*x509.Certificate{issueCert(t, "server", time.Now().Add(time.Hour))}
				}
				w.everybodySays("memberID:161 alarm:NOSPACE ")
				w.deps.Background = NewBackground(t.Context())
				defer w.deps.Background.Close()
				collectors := w.all()
				w.round(t, collectors)
				for range 20 {
					time.Sleep(15 * time.Second)
					for _, f := range w.fakes {
						f.forgetCalls()
					}
					w.round(t, collectors)
					checkBudget(t, w)
				}
			})
		})
	}
}

func checkBudget(t *testing.T, w *world) {
	t.Helper()
	for i, f := range w.fakes {
		for _, q := range []string{qStatus, qMemberList, qLinearizable, qSerializable, qQuota} {
			if n := f.asked(q); n > 1 {
				t.Errorf("endpoint %d was asked %s %d times", i, q, n)
			}
		}
		// Certificates come from the connection that is there and the quota from an
		// answer that is kept for ten minutes; clock samples and flags are background work.
		if n := f.asked() - f.asked(qCertificates, qQuota, qServerTime, qFlags); n > 6 {
			t.Errorf("endpoint %d was asked %d times", i, n)
		}
	}
	if n := w.calls(qReadAt, qAlarmList); n < 1 || n > 2 {
		t.Errorf("the cluster was asked %d times", n)
	}
}

// TestSharedStatusFailure: an error of a question that all collectors ask counts
// once a round.
func TestSharedStatusFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(3)
		w.fakes[1].fail[qStatus] = deadReasons[etcd.ReasonRefused]
		for _, f := range w.fakes {
			f.took[qAll] = time.Millisecond
		}
		w.deps.Background = NewBackground(t.Context())
		defer w.deps.Background.Close()
		collectors := w.all()
		w.round(t, collectors)
		w.round(t, collectors)
		if n := w.memory.Errors()[etcd.Call{Method: "Status", Code: "Unavailable"}]; n != 2 || w.fakes[1].asked(qStatus) != 2 {
			t.Errorf("%d errors are counted in two rounds, Status was asked %d times", n, w.fakes[1].asked(qStatus))
		}
	})
}
