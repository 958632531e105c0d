// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"

	"github.com/etcdops/etcdops/remediate"
)

func TestPaused(t *testing.T) {
	verdicts(t, "paused", []row{
		{"paused", func(s *scene) { s.ledger.paused, s.ledger.by = noon, "root" }, "paused by root since 2026-11-24T12:00:00Z", 0},
		{"by nobody known", func(s *scene) { s.ledger.paused = noon }, "paused by somebody", 0},
		{"by a hostile name", func(s *scene) { s.ledger.paused, s.ledger.by = noon, "x\nlevel=info" }, `"x\nlevel=info"`, 0},
		{"no ledger", func(s *scene) { s.Ledger = nil }, "error: what was done before is not known", 0},
	})
}

func TestJournal(t *testing.T) {
	verdicts(t, "journal", []row{
		{"unfit", func(s *scene) { s.ledger.fit = errors.New("journal.jsonl, line 7: wrong checksum") }, "line 7: wrong checksum", 0},
		{"no ledger", func(s *scene) { s.Ledger = nil }, "error: ", 0},
	})
}

// held is an election that is lost, or held.
type held struct {
	holds bool
	why   string
}

func (h held) Holds(string) (bool, string) { return h.holds, h.why }

func TestElection(t *testing.T) {
	verdicts(t, "election", []row{
		{"single process", func(s *scene) { s.options.Election = nil }, "", 0},
		{"held", func(s *scene) { s.options.Election = held{holds: true} }, "", 0},
		{"another leads", func(s *scene) { s.options.Election = held{why: "replica-2 leads"} }, "replica-2 leads", 0},
		{"nobody knows", func(s *scene) { s.options.Election = held{} }, "this one does not lead", 0},
		{"it takes no part", func(s *scene) { s.options.Aside = true }, "takes no part in the election", 0},
		{"it takes no part, and plans", func(s *scene) { s.options.Aside, s.Acting = true, false }, "", 0},
	})
}

func TestWindow(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip("no time zones on this machine")
	}
	at := func(from, to int) timeinterval.TimeInterval {
		return timeinterval.TimeInterval{Times: []timeinterval.TimeRange{{StartMinute: from, EndMinute: to}}}
	}
	set := func(w ...timeinterval.TimeInterval) func(*scene) { return func(s *scene) { s.options.Windows = w } }
	there := at(13*60, 14*60) // it is 13:00 in Berlin
	there.Location = &timeinterval.Location{Location: berlin}
	past := timeinterval.TimeInterval{Years: []timeinterval.YearRange{{InclusiveRange: timeinterval.InclusiveRange{Begin: 2020, End: 2021}}}}
	monday := at(60, 120) // today is a Tuesday
	monday.Weekdays = []timeinterval.WeekdayRange{{InclusiveRange: timeinterval.InclusiveRange{Begin: 1, End: 1}}}
	broken := at(12*60, 13*60)
	broken.Location = &timeinterval.Location{}
	verdicts(t, "window", []row{
		{"inside", set(at(11*60, 13*60)), "", 0},
		{"its first minute", set(at(12*60, 13*60)), "", 0},
		{"its end", set(at(11*60, 12*60)), "the next one opens at 2026-11-25T11:00:00Z", 23 * time.Hour},
		{"one of two", set(at(60, 120), at(11*60, 13*60)), "", 0},
		{"in its own zone", set(there), "", 0},
		{"tonight", set(at(22*60, 23*60)), "outside the windows; the next one opens at 2026-11-24T22:00:00Z", 10 * time.Hour},
		{"next week", set(monday), "the next one opens at 2026-11-30T01:00:00Z", 5*24*time.Hour + 13*time.Hour},
		{"never again", set(past), "none opens within 8 days", 0},
		{"without a zone", set(broken), "error: a window has a location without a time zone", 0},
		{"by hand", func(s *scene) { set(past)(s); s.Run.Trigger.Kind = remediate.TriggerHand }, "", 0},
		{"nobody knows who began", func(s *scene) { set(past)(s); s.Run = nil }, "outside the windows", 0},
		{"no clock", func(s *scene) { set(past)(s); s.Now = nil }, "error: ", 0},
	})
}

func TestBreaker(t *testing.T) {
	verdicts(t, "breaker", []row{
		{"open", func(s *scene) { s.ledger.breaker = "two runs brought 1 MiB of 2 GiB" }, "until a person resumes: two runs brought 1 MiB of 2 GiB", 0},
		{"no ledger", func(s *scene) { s.Ledger = nil }, "error: ", 0},
	})
}

func TestCooldown(t *testing.T) {
	hand := func(s *scene) { s.Run.Trigger.Kind, s.Run.IgnoreCooldown = remediate.TriggerHand, true }
	verdicts(t, "cooldown", []row{
		{"over", func(s *scene) { s.ledger.last = noon.Add(-6 * time.Hour) }, "", 0},
		{"not over", func(s *scene) { s.ledger.last = noon.Add(-6*time.Hour + time.Minute) }, "1m0s left", time.Minute},
		{"none", func(s *scene) { s.Policy.Cooldown, s.ledger.last = 0, noon }, "", 0},
		{"going on after a wait that was cut short", func(s *scene) { s.ledger.last, s.ledger.unfinished = noon, true }, "", 0},
		{"ignored by hand", func(s *scene) { s.ledger.last = noon; hand(s) }, "", 0},
		{"by hand", func(s *scene) { s.ledger.last = noon; hand(s); s.Run.IgnoreCooldown = false }, "6h0m0s left", 6 * time.Hour},
		{"an alert cannot ignore it", func(s *scene) {
			s.ledger.last = noon
			hand(s)
			s.Run.Trigger.Kind = remediate.TriggerAlert
		}, "left", 6 * time.Hour},
		{"clock set back", func(s *scene) { s.ledger.last = noon.Add(48 * time.Hour) }, "54h0m0s left", 54 * time.Hour},
		{"no ledger", func(s *scene) { s.Ledger = nil }, "error: ", 0},
		{"no clock", func(s *scene) { s.Now = nil }, "error: ", 0},
	})
}

func TestBudget(t *testing.T) {
	ago := func(hours ...float64) (all []time.Time) {
		for _, h := range hours {
			all = append(all, noon.Add(-time.Duration(h*float64(time.Hour))))
		}
		return all
	}
	fresh := func(s *scene, since time.Time) { s.ledger.complete, s.ledger.since = false, since }
	verdicts(t, "budget", []row{
		{"one left", func(s *scene) { s.ledger.spent = ago(20, 10, 1) }, "", 0},
		{"spent", func(s *scene) { s.ledger.spent = ago(20, 10, 5, 1) }, "4 of 4 runs of the last 24 hours are spent", 4 * time.Hour},
		{"going on after a wait that was cut short", func(s *scene) { s.ledger.spent, s.ledger.unfinished = ago(20, 10, 5, 1), true }, "", 0},
		{"overspent", func(s *scene) { s.ledger.spent = ago(23, 20, 10, 5, 1) }, "5 of 4 runs", 4 * time.Hour},
		{"in no order", func(s *scene) { s.ledger.spent = ago(1, 20, 5, 10) }, "4 of 4 runs", 4 * time.Hour},
		{"older ones do not count", func(s *scene) { s.ledger.spent = ago(30, 24, 5, 1) }, "", 0},
		{"clock set back", func(s *scene) { s.ledger.spent = ago(-1, -2, -3, -4) }, "4 of 4 runs", 25 * time.Hour},
		{"none allowed", func(s *scene) { s.Policy.MaxRunsPerDay = 0 }, "the policy allows no run", 0},
		{"below none", func(s *scene) { s.Policy.MaxRunsPerDay = -3; s.ledger.spent = ago(1) }, "the policy allows no run", 0},
		{"new journal", func(s *scene) { fresh(s, noon.Add(-time.Hour)) }, "", 0},
		{"new journal, one run", func(s *scene) { fresh(s, noon.Add(-time.Hour)); s.ledger.spent = ago(0.5) }, "one run until the first cool-down (6h0m0s) has passed", 5 * time.Hour},
		{"new journal, cool-down passed", func(s *scene) { fresh(s, noon.Add(-6*time.Hour)); s.ledger.spent = ago(5) }, "", 0},
		{"nobody knows how new", func(s *scene) { fresh(s, time.Time{}); s.ledger.spent = ago(5) }, "one run until the first cool-down", time.Minute},
		{"no ledger", func(s *scene) { s.Ledger = nil }, "error: ", 0},
		{"no clock", func(s *scene) { s.Now = nil }, "error: ", 0},
	})
}
