// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/remediate"
)

// FuzzRead reads any file: no panic, and what was read can go on, and is read the same
// when it is written as the state. With sealed each line gets the checksum that it
// should have.
func FuzzRead(f *testing.F) {
	_, text, lines := sampleJournal(f)
	f.Add(text, false)
	f.Add(text[:len(text)-5], false)
	f.Add([]byte(lines[0]), false)
	f.Add([]byte(`{"v":1,"seq":1,"entry":{"state":{"runs":[null,{}],"clusters":{"a":null,"b":{"policies":{"p":null}}}}}`+"\n"+
		`{"v":1,"seq":2,"entry":{"run":{"id":"1","steps":[null]}}`+"\n"+
		`{"v":1,"seq":3,"entry":{"step":{"run":"1","index":-9,"step":null}}`+"\n"+
		`{"v":1,"seq":4,"entry":{"step":{"run":"1","index":3,"step":{"action":"prune_events","revision":1,"started_at":"2026-11-24T12:00:00Z"}}}`), true)
	f.Add([]byte("{\"v\":2}\n\x00\x00"), true)
	f.Fuzz(func(t *testing.T, text []byte, sealed bool) {
		if sealed {
			var all []byte
			for line := range bytes.Lines(text) {
				head := bytes.TrimSuffix(line, []byte("\n"))
				all = append(appendSum(append(all, head...), head), '\n')
			}
			text = all
		}
		l := read(t, text)
		for _, e := range []entry{
			{Interrupt: &interruption{Runs: l.state.running()}},
			{Run: &remediate.Run{ID: "1"}},
			{Step: &putStep{Run: "1", Step: done(remediate.StepPrune, start)}},
			{Run: &remediate.Run{ID: "1", Outcome: remediate.Failed}},
			{Resolve: &resolution{Fingerprints: []string{"f"}}},
			{Pause: &pause{}},
		} {
			l.sequence++
			if err := l.state.apply(l.sequence, &e); err != nil {
				t.Fatal(err)
			}
		}
		use(&Journal{state: l.state, now: newClock().Now, stop: make(chan struct{})})
		written, err := json.Marshal(entry{State: l.state})
		if err != nil {
			return // a time that JSON does not have
		}
		again := read(t, appendLine(nil, 1, written))
		if rewritten, err := json.Marshal(entry{State: again.state}); err != nil || !bytes.Equal(rewritten, written) || again.found != "" {
			t.Errorf("%s (%v)\n%s\n%s", again.found, err, written, rewritten)
		}
	})
}

func read(t *testing.T, text []byte) *loaded {
	t.Helper()
	l := &loaded{state: newState(start)}
	if err := l.lines(bytes.NewReader(text), "file", true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(l.found, "\n") {
		t.Errorf("found %q", l.found)
	}
	return l
}

// use asks for everything.
func use(j *Journal) {
	_ = j.Fit()
	for _, run := range j.Runs(0) {
		_, _ = json.Marshal(run)
		_ = j.Spent(run.Cluster, run.Policy)
		_ = j.Export(run.Cluster)
		_ = j.Samples(run.Cluster)
	}
	_, _, _ = j.Intents(), j.ClosedIntents(), j.Interrupted()
	_, _ = j.Complete()
	_, _ = j.Paused()
}
