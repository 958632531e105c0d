// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strings"
	"testing"
	"time"
)

func TestTimeFromName(t *testing.T) {
	const want = "2026-11-23T02:00:00Z"
	for _, c := range []struct{ layout, name, want string }{
		{time.RFC3339, "etcd-2026-11-23T02:00:00Z.db", want},
		{time.RFC3339, "etcd-2026-11-23T04:00:00+02:00.db.gz", want},
		{"20060102-150405", "20261123-020000", want},
		{"20060102-150405", "20261123-020000.db", want},
		{"20060102-150405", "etcd-20261123-020000-prod.db.zst", want},
		{"20060102150405", "etcd_20261123020000.db", want},
		{"20060102150405", "node-3-20261123020000-4.db", want},
		{"etcd-2006-01-02_15-04.db", "etcd-2026-11-23_02-00.db", want},
		{"2006-01-02T15-04-05Z", "etcd-2026-11-23T02-00-00Z.db", want},
		{"2-Jan-2006_15h", "snapshot.23-Nov-2026_02h.db", want},
		{"Monday-2-January-2006-1504", "Monday-23-November-2026-0200.db", want},
		{"2006-01-02T15:04:05.000Z07:00", "x2026-11-23T02:00:00.000Z.db", want},
		{"2006-01-02 15:04:05", "2026-11-23 02:00:00.25.db", "2026-11-23T02:00:00.25Z"},
		{"20060102", "first-20261123-last-20261224.db", "2026-11-23T00:00:00Z"},
		{"20060102", "120261123.db", ""}, // never cuts a number in two
		{"20060102", "20261123000.db", ""},
		{"20060102", "20261323.db", ""}, // no thirteenth month
		{"20060102", "etcd.db", ""},
		{"20060102", "", ""},
		{time.RFC3339, "etcd-2026-11-23.db", ""},
	} {
		l, err := newLayout(c.layout)
		if err != nil {
			t.Fatalf("%s: %v", c.layout, err)
		}
		got := ""
		if at, ok := l.find(c.name); ok {
			got = at.Format(time.RFC3339Nano)
		}
		if got != c.want {
			t.Errorf("%q in %q: %q, want %q", c.layout, c.name, got, c.want)
		}
	}
}

func TestBadLayouts(t *testing.T) {
	for _, layout := range []string{"0102-1504", "etcd", "2006/01/02", "20060102 20060203 PM 15 junk 2006 Jan Mon MST -0700 .000"} {
		l, err := newLayout(layout)
		if err == nil && strings.HasPrefix(layout, "2006/") || err == nil && !strings.Contains(layout, "2006") {
			t.Errorf("%q was taken: %+v", layout, l)
		}
	}
}

func TestNameTimeInStore(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/etcd-20261122.db", "x", 0)
	write(t, dir+"/etcd-20261121.db", "x", 0)
	write(t, dir+"/notes.db", "x", 365*24*time.Hour)
	write(t, dir+"/etcd-20261201.db", "x", 0)
	s := open(t, Config{Path: dir, TimeFromName: "20060102"}).(*files)
	s.rules.now = func() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }
	objects := list(t, s)
	notes := one(t, objects, "notes.db")
	if notes.Problem == nil || notes.Problem.Reason != ReasonNameTime {
		t.Errorf("a name without a time: %v", notes.Problem)
	}
	if o := one(t, objects, "etcd-20261201.db"); o.Problem == nil || o.Problem.Reason != ReasonFuture {
		t.Errorf("a name of the future: %v", o.Problem)
	}
	if a, b := found(objects)[1], found(objects)[2]; a != "etcd-20261122.db" || b != "etcd-20261121.db" {
		t.Errorf("found %q", found(objects))
	}
}

func TestNameTimeIsCheap(t *testing.T) {
	l, err := newLayout("Monday_2_January_2006_15-04-05.000_MST")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{strings.Repeat("Monday_2_January_", 1000), strings.Repeat("Monday_2_January_2006_", 46), strings.Repeat(".", 1<<20)} {
		start := time.Now()
		l.find(name)
		if took := time.Since(start); took > time.Second {
			t.Errorf("%d bytes took %s", len(name), took)
		}
	}
}

func FuzzTimeFromName(f *testing.F) {
	f.Add(time.RFC3339, "etcd-2026-11-23T02:00:00Z.db")
	f.Add("20060102", "120261123.db.gz")
	f.Add("Mon Jan _2 15:04:05 2006", "Mon Nov 23 02:00:00 2026")
	f.Add("2006.000000000", "\xff2026.1.")
	f.Add("2006MST", "2026ABCDE")
	f.Fuzz(func(t *testing.T, text, name string) {
		if len(text) > 100 || len(name) > 2000 {
			t.Skip()
		}
		l, err := newLayout(text)
		if err != nil {
			return
		}
		at, ok := l.find(name)
		if ok && at.Location() != time.UTC {
			t.Errorf("%q in %q: %s is not in UTC", text, name, at)
		}
		// What a layout writes is found again, alone and within a name.
		date := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC).Format(text)
		if _, ok := l.find(date); !ok && len(date) < 200 && !strings.Contains(date, "/") {
			t.Errorf("%q does not find its own %q", text, date)
		}
	})
}
