// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sampleJournal has an intent a line after the first line.
func sampleJournal(t testing.TB) (*rig, []byte, []string) {
	t.Helper()
	r := newRig(t, Options{disk: newFragile().on})
	for _, p := range numbered(4) {
		r.ok(r.accept(p))
	}
	r.ok(r.Close())
	_, text, lines := newest(t, r.dir)
	return r, text, lines
}

// TestCutAnywhere is kill -9, or a disk that filled up, at any byte.
func TestCutAnywhere(t *testing.T) {
	r, text, lines := sampleJournal(t)
	dir := copyDir(t, r.dir)
	name, _, _ := newest(t, dir)
	head := len(lines[0])
	for size := range len(text) {
		for _, old := range files(t, dir, "*") {
			_ = os.Remove(filepath.Join(dir, old))
		}
		r.ok(os.WriteFile(name, text[:size], 0o600))
		j, err := Open(dir, Options{disk: newFragile().on})
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		whole := bytes.Count(text[:size], []byte("\n")) - 1
		switch fit := j.Fit(); {
		case size < head: // it was put there by a rename, whole
			if fit == nil {
				t.Errorf("%d bytes: a file that has lost its state is fit", size)
			}
		case fit != nil:
			t.Errorf("%d bytes: %v", size, fit)
		case len(j.Intents()) != whole:
			t.Errorf("%d bytes: %d intents, want those of %d whole lines", size, len(j.Intents()), whole)
		default:
			checkTorn(t, dir, text[:size])
		}
		if err := j.Accept(t.Context(), Intent{Policy: "next"}); err != nil {
			t.Errorf("%d bytes: cannot go on: %v", size, err)
		}
		_ = j.Close()
		again, err := Open(dir, Options{ReadOnly: true})
		if err != nil || len(again.Intents()) != max(whole, 0)+1 {
			t.Errorf("%d bytes: what came after the cut is not there: %v", size, err)
		}
		_ = again.Close()
	}
}

// checkTorn shows that what stands after the last line end was set aside.
func checkTorn(t *testing.T, dir string, text []byte) {
	t.Helper()
	want := text[bytes.LastIndexByte(text, '\n')+1:]
	aside := files(t, dir, tornPrefix+"*")
	if len(want) == 0 {
		if len(aside) != 0 {
			t.Errorf("%d bytes: nothing was torn, and %v is there", len(text), aside)
		}
		return
	}
	if len(aside) != 1 {
		t.Fatalf("%d bytes: set aside %v", len(text), aside)
	}
	if got, err := os.ReadFile(filepath.Join(dir, aside[0])); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes: set aside %q (%v), want %q", len(text), got, err, want)
	}
}

// TestFlippedBit shows that a changed byte anywhere is seen, and costs no other line.
func TestFlippedBit(t *testing.T) {
	r, text, lines := sampleJournal(t)
	for at := range text {
		for _, bit := range []byte{1, 0x20, 0x80} {
			changed := bytes.Clone(text)
			changed[at] ^= bit
			l := &loaded{state: newState(start)}
			r.ok(l.lines(bytes.NewReader(changed), "file", true))
			if !strings.HasPrefix(l.found, "file line ") || len(l.torn) > 0 {
				t.Fatalf("byte %d: found %q, torn %q", at, l.found, l.torn)
			}
			if got, least := len(l.state.Intents), len(lines)-1-2; got < least { // a line end that is gone takes two
				t.Errorf("byte %d: %d intents are left, want at least %d", at, got, least)
			}
		}
	}
}

func TestDamageLasts(t *testing.T) {
	r, _, lines := sampleJournal(t)
	name, _, _ := newest(t, r.dir)
	reseal := func(line, old, by string) string {
		head := strings.Replace(line[:len(line)-1-sumSize], old, by, 1)
		return string(appendSum([]byte(head), []byte(head))) + "\n"
	}
	for _, c := range []struct {
		name, want string
		change     func(l []string) []string
	}{
		{"flipped bit", "line 3: its checksum does not fit", func(l []string) []string { l[2] = strings.Replace(l[2], "prod", "proe", 1); return l }},
		{"missing line", "numbers 3 to 3 are missing", func(l []string) []string { return slices.Delete(l, 2, 3) }},
		{"doubled line", "line 4: number 3 comes after 3", func(l []string) []string { return slices.Insert(l, 2, l[2]) }},
		{"exchanged lines", "are missing", func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }},
		{"newer format", "line 3: it is of format 2", func(l []string) []string { l[2] = reseal(l[2], `"v":1`, `"v":2`); return l }},
		{"unknown entry", "line 3: it holds nothing", func(l []string) []string { l[2] = reseal(l[2], `"accept"`, `"later"`); return l }},
		{"foreign text", "line 3: its checksum", func(l []string) []string { return slices.Insert(l, 2, "hello\n") }},
		{"changed end", "line 5: its end is missing", func(l []string) []string { l[4] = strings.TrimSuffix(l[4], "\n") + "\x0b"; return l }},
		{"no state", "line 1: it does not hold the state", func(l []string) []string { return l[1:] }},
		{"empty", "is empty", func([]string) []string { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyDir(t, r.dir)
			file := filepath.Join(dir, filepath.Base(name))
			damaged := []byte(strings.Join(c.change(slices.Clone(append(lines[:len(lines)-1:len(lines)-1], lines[len(lines)-1]+"\n"))), ""))
			r.ok(os.WriteFile(file, damaged, 0o600))
			for try := range 3 {
				j, err := Open(dir, Options{MaxBytes: 1})
				r.ok(err)
				fit := j.Fit()
				if fit == nil || !strings.Contains(fit.Error(), c.want) {
					t.Fatalf("start %d: Fit() = %v, want %q", try, fit, c.want)
				}
				for _, p := range numbered(20) { // a rotation must not heal it
					if err := j.Accept(t.Context(), Intent{Policy: p, Cluster: "other", Fingerprint: string(rune('a' + try))}); err != nil {
						t.Fatal(err)
					}
				}
				r.ok(j.Close())
			}
			if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, damaged) {
				t.Error("the damaged file is not what it was")
			}
			checkHealed(t, dir)
		})
	}
}

// checkHealed does what the error asks for.
func checkHealed(t *testing.T, dir string) {
	t.Helper()
	for _, name := range files(t, dir, "journal-*.jsonl") {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	j, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if complete, _ := j.Complete(); j.Fit() != nil || complete {
		t.Errorf("new journal: Fit() = %v, complete %t", j.Fit(), complete)
	}
}

// TestNewestMovedAway shows that an older file does not pass for the whole story.
func TestNewestMovedAway(t *testing.T) {
	r := newRig(t, Options{MaxBytes: 500, disk: newFragile().on})
	for _, p := range numbered(40) {
		r.ok(r.accept(p))
	}
	r.ok(r.Close())
	name, _, _ := newest(t, r.dir)
	r.ok(os.Remove(name))
	for _, readOnly := range []bool{true, false, false, true} {
		j, err := Open(r.dir, Options{ReadOnly: readOnly})
		r.ok(err)
		if err := j.Fit(); err == nil || !strings.Contains(err.Error(), filepath.Base(name)+" was moved away") {
			t.Errorf("Fit() = %v", err)
		}
		if len(j.Intents()) == 0 {
			t.Error("what can be read is not there")
		}
		if _, err := os.Stat(name); err == nil {
			t.Error("another file has the name of the one that was moved")
		}
		r.ok(j.Close())
	}
}

// TestStateDamaged shows that an older file helps where the newest one's first line is
// lost.
func TestStateDamaged(t *testing.T) {
	r := newRig(t, Options{MaxBytes: 4000, disk: newFragile().on})
	names := numbered(40)
	for _, p := range names {
		r.ok(r.accept(p))
	}
	r.ok(r.Close())
	name, text, _ := newest(t, r.dir)
	text[len(text)/20] ^= 1
	r.ok(os.WriteFile(name, text, 0o600))
	r.open()
	if r.Fit() == nil {
		t.Error("it is fit")
	}
	if got := r.policies(); !slices.Equal(got, names) {
		t.Errorf("%d of %d intents are there: %v", len(got), len(names), got)
	}
}

func TestUnreadable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "j")
	if err := os.MkdirAll(filepath.Join(dir, "journal-1.jsonl"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("a directory in the place of a file: %v", err)
	}
}
