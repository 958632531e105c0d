// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// endpoint answers from what it holds; what a light look must not ask is counted.
type endpoint struct {
	status etcd.Status
	list   etcd.MemberList
	err    error
	hangs  bool
	heavy  *int
}

func (e endpoint) answer(ctx context.Context) error {
	if e.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return e.err
}

func (e endpoint) Status(ctx context.Context) (etcd.Status, error) { return e.status, e.answer(ctx) }

func (e endpoint) MemberList(ctx context.Context) (etcd.MemberList, error) {
	return e.list, e.answer(ctx)
}
func (e endpoint) Read(context.Context, etcd.Read) error           { *e.heavy++; return nil }
func (e endpoint) AlarmList(context.Context) ([]etcd.Alarm, error) { *e.heavy++; return nil, nil }

func (e endpoint) Quota(context.Context) (int64, error)                    { *e.heavy++; return 0, nil }
func (e endpoint) ServerTime(context.Context) (t etcd.ServerTime, _ error) { return t, e.err }
func (e endpoint) Flags(context.Context) (map[string]string, error)        { *e.heavy++; return nil, nil }

func (e endpoint) ServerCertificates(context.Context) ([]*x509.Certificate, error) {
	*e.heavy++
	return nil, nil
}

// endpoints are those of cluster(), in the order a, b, c.
func endpoints() (heavy *int, all []endpoint) {
	heavy = new(int)
	list := etcd.MemberList{ClusterID: 77}
	for _, m := range cluster().Members {
		list.Members = append(list.Members, m.Member)
	}
	for _, m := range cluster().Members {
		all = append(all, endpoint{status: m.Status, list: list, heavy: heavy})
	}
	return heavy, all
}

func lookAt(t *testing.T, all []endpoint, memory *etcd.Memory) Look {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lookTime)
	defer cancel()
	apis := map[etcd.Endpoint]etcd.API{}
	var order []etcd.Endpoint
	for i, e := range all {
		ep := etcd.Endpoint{URL: "https://" + string(rune('a'+i)) + ":2379"}
		order, apis[ep] = append(order, ep), e
	}
	return FromObservation(light(ctx, etcd.NewView(ctx, order, apis, memory)))
}

// TestLight: a light look sees what counts, and asks nothing that costs.
func TestLight(t *testing.T) {
	heavy, all := endpoints()
	l := lookAt(t, all, etcd.NewMemory())
	if l.Fault != "" || l.Leader != 1 || l.Term != 5 || l.ClusterID != 77 || len(l.Silent) != 0 || !l.Quorum ||
		l.Lowest != 1000 || l.Highest != 1000 || len(l.Versions) != 3 || l.Names[2] != "b (https://b:2379)" {
		t.Errorf("%+v", l)
	}
	if *heavy > 0 {
		t.Errorf("%d questions that cost", *heavy)
	}
}

// TestLightPartly: a dead, a hanging and a lying endpoint each cost their own member.
func TestLightPartly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := etcd.NewMemory()
		_, all := endpoints()
		lookAt(t, all, memory)

		all[1].err = errors.New("connection refused")
		if l := lookAt(t, all, memory); len(l.Silent) != 1 || l.Silent[0] != 2 || l.name(2) != "b (https://b:2379)" || l.Leader != 1 {
			t.Errorf("dead: %+v", l)
		}
		_, all = endpoints()
		all[2].hangs = true
		begun := time.Now()
		if l := lookAt(t, all, memory); len(l.Silent) != 1 || l.Silent[0] != 3 || l.Leader != 1 || time.Since(begun) > lookTime {
			t.Errorf("hanging: %+v after %s", l, time.Since(begun))
		}
		_, all = endpoints()
		all[2].status.MemberID = 99
		if l := lookAt(t, all, memory); l.Fault != "https://c:2379 names member 63, which is not in the member list" || len(l.Silent) != 1 {
			t.Errorf("lying: %+v", l)
		}
		_, all = endpoints()
		for i := range all {
			all[i].err = errors.New("connection refused")
		}
		if l := lookAt(t, all, memory); l.Fault != "there was no member list: no endpoint gives a member list" {
			t.Errorf("nobody: %+v", l)
		}
	})
}

// TestLightIsNoObservation: nothing that a light look did not ask counts as known.
func TestLightIsNoObservation(t *testing.T) {
	_, all := endpoints()
	ctx, cancel := context.WithTimeout(t.Context(), lookTime)
	defer cancel()
	ep := etcd.Endpoint{URL: "https://a:2379"}
	o := light(ctx, etcd.NewView(ctx, []etcd.Endpoint{ep}, map[etcd.Endpoint]etcd.API{ep: all[0]}, etcd.NewMemory()))
	if o.AlarmsErr == nil {
		t.Error("the alarms count as known")
	}
	for _, m := range o.Members {
		if m.ReadErr == nil || m.VitalsErr == nil || m.SkewErr == nil {
			t.Errorf("%s: %+v", m.Name, m)
		}
	}
}
