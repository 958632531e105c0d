// SPDX-License-Identifier: Apache-2.0

package top

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

// load is what a small cluster writes in 30 s.
func load(t *testing.T) func(context.Context, int, int64, func(etcd.WatchBatch) error) error {
	return func(ctx context.Context, _ int, from int64, f func(etcd.WatchBatch) error) error {
		for i := range 60 {
			if !sleep(ctx, 500*time.Millisecond-time.Millisecond) {
				break
			}
			all := []etcd.KeyValue{
				put("/registry/leases/kube-node-lease/worker-1", make([]byte, 400), false),
				put("/registry/leases/kube-node-lease/worker-1", make([]byte, 400), false),
				put("/registry/leases/kube-system/kube-controller-manager", make([]byte, 380), false),
				event(t, "shop", fmt.Sprintf("web-0.%04d", i), "Warning", "BackOff", "kubelet"),
				put("/registry/minions/worker-1", make([]byte, 9000), false),
			}
			if i%3 == 0 {
				all = append(
					all, event(t, "dev", fmt.Sprintf("job-1.%04d", i), "Normal", "Scheduled", "default-scheduler"),
					etcd.KeyValue{Key: fmt.Appendf(nil, "/registry/events/shop/old.%04d", i), Deleted: true},
					put(fmt.Sprintf("/registry/cert-manager.io/certificates/shop/tls-%02d-with-a-name-that-is-longer-than-a-terminal-is-wide-as-it-happens", i), make([]byte, 2000), true),
					put("/registry/secrets/shop/password", []byte("k8s:enc:aescbc:v1:key1:0123456789abcdef"), false),
				)
			}
			if err := f(batch(from, all...)); err != nil {
				return err
			}
			from += int64(len(all))
		}
		return silent(ctx)
	}
}

func TestGolden(t *testing.T) {
	for name, o := range map[string]Options{
		"piped.txt":   {},
		"80.txt":      {Size: func() (int, int) { return 80, 24 }},
		"160.txt":     {Size: func() (int, int) { return 160, 50 }},
		"report.json": {Output: JSON, Rows: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := three()
				c.members[1].watch = load(t)
				o.Name, o.For = "prod", 32*time.Second // not when a look at the member is due
				resolved, err := o.resolve()
				if err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				if err := run(t.Context(), c, resolved, &out); err != nil {
					t.Fatal(err)
				}
				text := out.String()
				if o.Size != nil {
					live, final, found := strings.Cut(text, leaveScreen)
					if !found || strings.Contains(final, "\x1b") {
						t.Fatalf("the screen is not left once: %q", text)
					}
					frames := strings.Split(live, goHome)
					golden(t, "live_"+name, strings.NewReplacer(clearLine, "", clearRest, "", "\r", "").Replace(frames[len(frames)/2]))
					columns, lines := o.Size()
					for _, frame := range frames[1:] {
						fits(t, frame, columns, lines)
					}
					text = final
				}
				if strings.Contains(text, "\x1b") {
					t.Error("there are escapes in the final table")
				}
				golden(t, name, text)
			})
		})
	}
}

// fits checks a frame against its terminal.
func fits(t *testing.T, frame string, columns, lines int) {
	t.Helper()
	rows := strings.Split(strings.NewReplacer(clearLine, "", clearRest, "").Replace(frame), "\r\n")
	if len(rows) > lines {
		t.Errorf("%d lines on a terminal of %d", len(rows), lines)
	}
	for _, row := range rows {
		if n := len([]rune(row)); n > columns {
			t.Errorf("%d columns on a terminal of %d: %q", n, columns, row)
		}
	}
}

func TestLiveFitsAnyTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for columns := 40; columns < 200; columns += 17 {
			for lines := 1; lines < 70; lines += 6 {
				c := three()
				c.members[1].watch = load(t)
				var out bytes.Buffer
				o := Options{Name: "prod", For: 2 * time.Second, Size: func() (int, int) { return columns, lines }}
				resolved, err := o.resolve()
				if err != nil {
					t.Fatal(err)
				}
				if err := run(t.Context(), c, resolved, &out); err != nil {
					t.Fatal(err)
				}
				live, _, _ := strings.Cut(out.String(), leaveScreen)
				for _, frame := range strings.Split(live, goHome)[1:] {
					fits(t, frame, columns, max(lines, 2))
				}
			}
		}
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.members[1].watch = load(t)
		r, err := watchAll(t.Context(), t, c, Options{Name: "prod"})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.members[1].watched(); len(got) != 1 || got[0] != 101 {
			t.Errorf("the first follower is watched from %v, not from 101", got)
		}
		if r.Seconds != 30 || r.Ended != "time" || len(r.Notes) > 0 {
			t.Errorf("after %v s, %s, %q", r.Seconds, r.Ended, r.Notes)
		}
		want := Rates{
			Writes: 380, Created: 100, Updated: 260, Deleted: 20, Bytes: r.Total.Bytes,
			WritesPerSecond: 12.667, CreatedPerSecond: 3.333, UpdatedPerSecond: 8.667, DeletedPerSecond: 0.667, BytesPerSecond: r.Total.BytesPerSecond,
		}
		if r.Total != want {
			t.Errorf("in all %+v", r.Total)
		}
		row := func(what string, g Group, i int, name string, writes uint64) {
			t.Helper()
			if len(g.Rows) <= i || g.Rows[i].Name != name || g.Rows[i].Writes != writes {
				t.Errorf("%s: row %d is not %s with %d writes: %+v", what, i, name, writes, g.Rows)
			}
		}
		row("resources", r.Resources, 0, "leases", 180)
		row("resources", r.Resources, 1, "events", 100)
		row("namespaces", r.Namespaces, 1, "kube-node-lease", 120)
		row("keys", r.Keys, 0, "/registry/leases/kube-node-lease/worker-1", 120)
		row("keys by bytes", r.KeysByBytes, 0, "/registry/minions/worker-1", 60)
		row("reasons", r.Events.Reasons, 0, "BackOff", 60)
		row("sources", r.Events.Sources, 1, "default-scheduler", 20)
		row("objects", r.Events.InvolvedObjects, 0, "Pod shop/web-0", 60)
		row("types", r.Events.Types, 0, "Warning", 60)
		if key := r.Keys.Rows[0]; key.LastValueBytes != 400 || key.Missing != 0 || key.Bytes != 120*(400+41) {
			t.Errorf("the key that is written most: %+v", key)
		}
		if r.EncryptedValues != 20 || r.Events.Encrypted != 0 {
			t.Errorf("%d encrypted values, %d of events", r.EncryptedValues, r.Events.Encrypted)
		}
		if r.Cost.WatchAnswers != 60 || r.Cost.ReceivedBytes != r.Total.Bytes+60*20+380*12+deletedKeys(20) || r.Cost.StatusRequests < 5 {
			t.Errorf("cost %+v", r.Cost)
		}
	})
}

func deletedKeys(n int) uint64 { return uint64(n * len("/registry/events/shop/old.0000")) }

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		o, _ := Options{Name: "prod"}.resolve()
		if err := run(t.Context(), three(), o, &out); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); !strings.Contains(text, "no writes in 30 s\n") || strings.Contains(text, "RESOURCE") {
			t.Errorf("an idle cluster gives\n%s", text)
		}
	})
}

func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.members[1].watch = load(t)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		r, err := watchAll(ctx, t, c, Options{})
		if err != nil || r.Ended != "interrupted" || r.Seconds != 3 || r.Total.Writes == 0 {
			t.Errorf("%v: %s after %v s with %d writes", err, r.Ended, r.Seconds, r.Total.Writes)
		}
	})
}

func TestMaxBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three()
		c.members[1].watch = load(t)
		r, err := watchAll(t.Context(), t, c, Options{MaxBytes: 50_000})
		if err != nil || r.Ended != "max_bytes" || r.Seconds > 5 || r.Cost.ReceivedBytes < 50_000 || r.Cost.ReceivedBytes > 70_000 {
			t.Errorf("%v: %s after %v s and %d bytes", err, r.Ended, r.Seconds, r.Cost.ReceivedBytes)
		}
		if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "ended early") {
			t.Errorf("notes %q", r.Notes)
		}
	})
}

func TestNobodyAnswers(t *testing.T) {
	c := three()
	for _, m := range c.members {
		m.down = errors.New("connection refused\x1b[2J\nby a server")
	}
	_, err := watchAll(t.Context(), t, c, Options{})
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\n") || strings.Count(err.Error(), "connection refused") != 3 {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestDenied(t *testing.T) {
	for name, test := range map[string]struct {
		options Options
		want    string
	}{
		"a user":   {Options{User: "viewer"}, `user viewer may not watch: it needs read permission on all keys (etcdctl role grant-permission ROLE read "" --from-key)`},
		"a prefix": {Options{Prefix: "/registry/"}, `this client may not watch: it needs read permission on the keys below /registry/ (etcdctl role grant-permission ROLE read /registry/ --prefix)`},
	} {
		t.Run(name, func(t *testing.T) {
			c := three()
			c.members[1].watch = func(context.Context, int, int64, func(etcd.WatchBatch) error) error {
				return fmt.Errorf("Watch: %w", etcd.ErrPermissionDenied)
			}
			_, err := watchAll(t.Context(), t, c, test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("denied: %v", err)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{For: -1}, {Rows: -1}, {Rows: 1 << 20}, {Output: "xml"}} {
		if err := Run(t.Context(), o, io.Discard); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}
