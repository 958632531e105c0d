// SPDX-License-Identifier: Apache-2.0

package top

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/etcdops/etcdops/internal/etcd"
)

// TestSketch holds the sketch against an exact count of skewed writes.
func TestSketch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(random, 1.2, 1, 1<<20)
	s, exact, total := newSketch(100, byWrites), map[string]uint64{}, uint64(0)
	for range 200_000 {
		name := fmt.Sprint(zipf.Uint64())
		s.add(name, figures{writes: 1})
		exact[name]++
		total++
	}
	if bound := total / 100; s.error() == 0 || s.error() > bound {
		t.Errorf("an error of %d; Space-Saving promises at most %d", s.error(), bound)
	}
	for _, one := range s.top(100) {
		if truth := exact[one.name]; one.seen.writes > truth || one.seen.writes+one.missing < truth {
			t.Errorf("%s: %d and at most %d missing, in truth %d", one.name, one.seen.writes, one.missing, truth)
		}
	}
	for i, one := range s.top(5) {
		if one.name != fmt.Sprint(i) {
			t.Errorf("place %d is %s", i, one.name)
		}
	}
	for name, truth := range exact {
		if truth > s.error() && s.byName[name] == nil {
			t.Errorf("%s with %d writes is missed, beyond an error of %d", name, truth, s.error())
		}
	}
}

func TestTable(t *testing.T) {
	s := newTable(2)
	for _, name := range []string{"a", "b", "b", "c", "d", "e", "a", "b"} {
		s.add(name, figures{writes: 1})
	}
	got := fmt.Sprint(s.top(10))
	if want := "[{(others) {3 0 0 0 0} 0} {b {3 0 0 0 0} 0} {a {2 0 0 0 0} 0}]"; got != want {
		t.Errorf("got %s", got)
	}
}

// TestBounded writes a million keys, each with groups and names of its own, and
// one that is written again and again among them.
func TestBounded(t *testing.T) {
	tally := newTally()
	before := heapBytes()
	long := strings.Repeat("x", 100<<10)
	now := time.Unix(1_790_000_000, 0)
	keys := 1_000_000
	if raced {
		keys = 50_000
	}
	for i := range keys {
		kv := put(fmt.Sprintf("/registry/kind%d/ns%d/name", i, i), nil, true)
		if i%10_000 == 0 {
			kv = put(fmt.Sprintf("/registry/%d%s/%d%s/%d%s", i, long, i, long, i, long), make([]byte, 10<<10), true)
		}
		tally.add(kv, now)
		if i%100 == 0 {
			tally.add(put("/registry/leases/a/b", make([]byte, 100), false), now)
		}
	}
	used := heapBytes() - before
	t.Logf("%d KiB for %d keys", used>>10, keys)
	if used > 20<<20 {
		t.Errorf("%d keys take %d MiB", keys, used>>20)
	}
	if first := tally.keys.top(1)[0]; first.name != "/registry/leases/a/b" || first.seen.writes < uint64(keys)*9/1000 || first.seen.writes > uint64(keys)/100 {
		t.Errorf("the key that is written most: %+v", first)
	}
	if others := tally.resources.top(1)[0]; others.name != othersName || len(tally.resources.byName) != maxResources {
		t.Errorf("resources beyond the bound: %+v", others)
	}
	runtime.KeepAlive(tally)
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestDecodesAreBounded sends more events within a second than are decoded.
func TestDecodesAreBounded(t *testing.T) {
	tally, now := newTally(), time.Unix(1_790_000_000, 0)
	one := event(t, "shop", "web-0.1", "Normal", "Pulled", "kubelet")
	for range maxDecoded + 7 {
		tally.add(one, now)
	}
	tally.add(one, now.Add(time.Second))
	if e := tally.events; e.skipped != 7 || e.decoded.writes != maxDecoded+1 || e.total.writes != maxDecoded+8 {
		t.Errorf("%d skipped, %d decoded of %d", e.skipped, e.decoded.writes, e.total.writes)
	}
}

func TestEventsThatAreNone(t *testing.T) {
	tally, now := newTally(), time.Now()
	tally.add(put("/registry/events/a/b", []byte("k8s:enc:kms:v2:x:"), true), now)
	tally.add(put("/registry/events/a/c", []byte("something"), true), now)
	tally.add(etcd.KeyValue{Key: []byte("/registry/events/a/b"), Deleted: true}, now)
	e := tally.events
	if e.encrypted != 1 || e.odd != 1 || e.decoded.writes != 0 || e.total.writes != 3 || e.total.deleted != 1 || tally.encrypted != 1 {
		t.Errorf("%+v", e)
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string][2]string{ // printable, and aligned after that
		"/registry/pods/a/b": {"/registry/pods/a/b", "/registry/pods/a/b"},
		"\x1b[2J\a\r\n\x7f":  {`\x1b[2J\x07\x0d\x0a\x7f`, `\x1b[2J\x07\x0d\x0a\x7f`},
		"\xff\xfe":           {`\xff\xfe`, `\xff\xfe`},
		`a\x1b`:              {`a\\x1b`, `a\\x1b`},
		"\u009b2J":           {`\u009b2J`, `\u009b2J`},
		"a\u202eb":           {`a\u202eb`, `a\u202eb`},
		"müller":             {"müller", "müller"},
		"e\u0301":            {"e\u0301", `e\u0301`},
		"中":                  {"中", `\u4e2d`},
		"שלום":               {"שלום", `\u05e9\u05dc\u05d5\u05dd`},
		"😀":                  {"😀", `\U0001f600`},
	} {
		got := printable(text)
		if got != want[0] || aligned(got) != want[1] {
			t.Errorf("%q: %q, %q", text, got, aligned(got))
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b]0;title\a")
	f.Fuzz(func(t *testing.T, text string) {
		got := printable(text)
		for _, r := range got + aligned(got) {
			if r < ' ' || r == 0x7f || r == utf8.RuneError && !strings.ContainsRune(text, r) || unicode.Is(unicode.C, r) {
				t.Fatalf("%q leaves %q in %q", text, r, got)
			}
		}
	})
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abc…fg"},
		{"äöüäöüä", 5, "äö…üä"},
		{"abc", 2, "ab"},
		{"abc", 0, ""},
		{"abc", -1, ""},
	} {
		if got := cut(test.text, test.width); got != test.want {
			t.Errorf("%q to %d: %q", test.text, test.width, got)
		}
	}
}

// TestHostileNames shows that nothing that was written reaches a terminal as it is.
func TestHostileNames(t *testing.T) {
	l := &ledger{cluster: "prod\x1b[31m", tally: newTally(), begun: time.Now().Add(-time.Second)}
	bad := "\x1b[2J\x1b]0;owned\a\u202e\xff中\n"
	e := event(t, "shop", "web-0"+bad, "Normal"+bad, bad, bad)
	l.batch(batch(1, put("/registry/"+bad+"/"+bad+"/"+bad, nil, true), e))
	l.use("https://" + bad)
	l.note("a server said %s", bad)
	r := l.report(10)
	for _, v := range []view{{}, {columns: 80}, {columns: 80, lines: 24, live: true}} {
		for _, c := range render(r, v) {
			if c != '\n' && c != '…' && (!unicode.IsPrint(c) || c >= firstOdd) {
				t.Fatalf("%+v prints %q", v, c)
			}
		}
	}
}

// BenchmarkAdd is what one change costs us while ever new keys are written.
func BenchmarkAdd(b *testing.B) {
	tally, now := newTally(), time.Unix(1_790_000_000, 0)
	one := event(b, "shop", "web-0.1", "Normal", "Pulled", "kubelet")
	for i := 0; b.Loop(); i++ {
		one.Key = fmt.Appendf(nil, "/registry/events/shop/web-0.%d", i)
		tally.add(one, now.Add(time.Duration(i)*time.Millisecond))
	}
}
