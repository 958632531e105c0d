// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

const (
	// quick is what a healthy member's read takes at most on a busy machine,
	// and far below any deadline used here.
	quick = 500 * time.Millisecond
	// slack is what a scrape may take beyond its deadline: parsing, the machine.
	slack = 300 * time.Millisecond
)

// TestMemberFails takes one member of three through its troubles.
func TestMemberFails(t *testing.T) {
	t.Parallel()
	const timeout = 2 * time.Second
	l := startLab(t, lab.Options{Version: "3.6.16"})
	e := exportLab(t, l, "--scrape.timeout="+timeout.String())
	leader, err := l.Leader(patient(t))
	must(t, err)
	victim := l.Member((leader + 1) % 3)
	others := slices.DeleteFunc(l.Endpoints(), func(url string) bool { return url == victim.ClientURL() })
	before := e.Scrape("/metrics")
	check(t, before.Up(victim.ClientURL()))

	t.Run("stopped", func(t *testing.T) {
		e := e.with(t)
		must(t, victim.Pause())
		for range 2 { // the first finds a connection that was good, the second none
			s := e.Scrape("/metrics")
			check(t, s.Down(victim.ClientURL(), "timeout"), undisturbed(before, s, others))
			if s.Took > timeout+slack {
				t.Errorf("the scrape took %s", s.Took)
			}
		}
		s := e.Scrape("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "1")
		check(t, s.Down(victim.ClientURL(), "timeout"), undisturbed(before, s, others))
		if s.Took > time.Second {
			t.Errorf("the scrape took %s; Prometheus gives up after 1 s", s.Took)
		}
		t.Run("seen by newcomers", func(t *testing.T) { newcomers(t, l, before, victim, others) })
		must(t, victim.Resume(), l.WaitReady(patient(t)))
		upWithinTwo(t, e, victim.ClientURL())
	})
	t.Run("killed", func(t *testing.T) {
		e := e.with(t)
		must(t, victim.Kill())
		for range 2 {
			s := e.Scrape("/metrics")
			check(t, s.Down(victim.ClientURL(), "refused"), undisturbed(before, s, others))
			if s.Took > quick {
				t.Errorf("the scrape took %s, though the connection is refused at once", s.Took)
			}
		}
		must(t, victim.Restart(patient(t)), l.WaitReady(patient(t)))
		upWithinTwo(t, e, victim.ClientURL())
	})
	t.Run("stopped while it leads", func(t *testing.T) {
		e := e.with(t)
		index, err := l.Leader(patient(t))
		must(t, err)
		old := l.Member(index)
		must(t, old.Pause(), l.WaitReady(patient(t))) // the others have a new one
		s := e.Scrape("/metrics")
		check(t, s.Down(old.ClientURL(), "timeout"), s.Want(1, "cluster_has_leader"), s.Want(1, "cluster_views", "of", "leader"),
			s.Want(2, "cluster_voters_healthy"))
		must(t, old.Resume(), l.WaitReady(patient(t)))
		upWithinTwo(t, e, old.ClientURL())
		if leaders := e.Scrape("/metrics").Sum("endpoint_is_leader"); leaders != 1 {
			t.Errorf("%v leaders", leaders)
		}
	})
	t.Run("all stopped", func(t *testing.T) {
		e := e.with(t)
		must(t, errors.Join(each(l, (*lab.Member).Pause)...))
		for range 2 {
			s := e.Scrape("/metrics")
			check(t, each(l, func(m *lab.Member) error { return s.Down(m.ClientURL(), "timeout") })...)
			check(t, s.Want(0, "cluster_has_leader"), s.Want(-2, "cluster_failure_tolerance"), s.Want(3, "cluster_members", "role", "voter"))
			if s.Took > timeout+slack {
				t.Errorf("the scrape took %s", s.Took)
			}
		}
		must(t, errors.Join(each(l, (*lab.Member).Resume)...), l.WaitReady(patient(t)))
		for _, m := range l.Members() {
			upWithinTwo(t, e, m.ClientURL())
		}
	})
	t.Run("restarted between two scrapes", func(t *testing.T) {
		e := e.with(t)
		must(t, victim.Restart(patient(t)), l.WaitReady(patient(t)))
		upWithinTwo(t, e, victim.ClientURL())
	})
}

// newcomers are exporters that never saw the stopped member alive: one has it
// in its configuration, the other, beside one that answers, to discover the rest.
func newcomers(t *testing.T, l *lab.Lab, before *Scrape, stopped *lab.Member, others []string) {
	const timeout = 2 * time.Second
	e := exportLab(t, l, "--scrape.timeout="+timeout.String())
	s := e.Scrape("/metrics")
	check(t, s.Down(stopped.ClientURL(), "timeout"), undisturbed(before, s, others))
	hoards(t, e)

	flags := labFlags(l, stopped.ClientURL(), others[0])
	e = startExporter(t, append(flags, "--etcd.discover", "--scrape.timeout="+timeout.String())...)
	s = e.Scrape("/metrics")
	check(t, s.Down(stopped.ClientURL(), "timeout"), undisturbed(before, s, others))
	if s.Took > timeout+slack {
		t.Errorf("the scrape took %s", s.Took)
	}
}

// hoards scrapes in haste beside a stopped member, whose connections do not end
// by themselves. What a scrape leaves behind must go within seconds.
func hoards(t *testing.T, e *Exporter) {
	const scrapes, limit = 40, 25
	then := e.Scrape("/metrics")
	for range scrapes {
		e.Scrape("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "0.5") // 250 ms
	}
	now := e.Scrape("/metrics")
	for _, name := range []string{"go_goroutines", "process_open_fds"} {
		if before, after := then.Value(name), now.Value(name); after > before+limit {
			t.Errorf("%s went from %v to %v in %d scrapes", name, before, after, scrapes)
		}
	}
}

// undisturbed is an error where endpoints lack series that they had before, or
// took long to answer.
func undisturbed(before, now *Scrape, urls []string) error {
	var errs []error
	for _, url := range urls {
		if had, have := asked(before.Of(url)), asked(now.Of(url)); !slices.Equal(had, have) {
			errs = append(errs, fmt.Errorf("%s had %q and has %q", url, had, have))
		}
		errs = append(errs, now.Up(url))
		for _, name := range []string{"linearizable_read", "serializable_read"} {
			errs = append(errs, now.Want(1, "endpoint_healthy", "url", url, "check", name))
			took, err := now.Lookup("endpoint_check_duration_seconds", "url", url, "check", name)
			if err == nil && took > quick.Seconds() {
				err = fmt.Errorf("%s of %s took %v s", name, url, took)
			}
			errs = append(errs, err)
		}
	}
	for _, collector := range before.Labels("exporter_collector_success") {
		errs = append(errs, now.Want(1, "exporter_collector_success", "collector", collector["collector"]))
	}
	for _, name := range []string{"cluster_compact_revision", "cluster_revision", "cluster_members_unmonitored", "alarm_active", "member_info"} {
		if had, has := before.Count(name), now.Count(name); had != has {
			errs = append(errs, fmt.Errorf("%s had %d series and has %d", name, had, has))
		}
	}
	return errors.Join(append(errs,
		now.Want(2, "cluster_voters_healthy"), now.Want(0, "cluster_failure_tolerance"), now.Want(1, "cluster_has_leader"),
		now.Want(0, "cluster_members_unmonitored"), now.Want(1, "cluster_views", "of", "leader"))...)
}

// asked are the names of what a scrape asks for. Flags are read in the background, in
// their own time.
func asked(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "endpoint_flag_info" })
}

// upWithinTwo scrapes twice; the second must find the endpoint whole.
func upWithinTwo(t *testing.T, e *Exporter, url string) {
	t.Helper()
	first := e.Scrape("/metrics")
	s := e.Scrape("/metrics")
	if err := s.Up(url); err != nil {
		t.Errorf("not up within two scrapes (the first: %v): %v", first.Up(url), err)
	}
	check(t, s.Want(1, "endpoint_healthy", "url", url, "check", "linearizable_read"), s.WantNone("endpoint_failure", "url", url))
}

// TestConnectionsLost breaks connections such that neither end is told.
func TestConnectionsLost(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{})
	p := startProxy(t, l.Endpoints()[0])
	others := l.Endpoints()[1:]
	e := startExporter(t, append(labFlags(l, append(others, p.URL)...), "--scrape.timeout=1s")...)
	before := e.Scrape("/metrics")
	must(t, before.Up(p.URL))
	for range 3 {
		p.Lose()
		s := e.Scrape("/metrics")
		if s.Up(p.URL) == nil {
			t.Error("the endpoint is up over a connection that is lost")
		}
		check(t, undisturbed(before, s, others))
		s = e.Scrape("/metrics")
		check(t, s.Up(p.URL), s.Want(1, "endpoint_healthy", "url", p.URL, "check", "linearizable_read"))
	}
}

// TestDefragmenting scrapes while etcd holds its database, for some seconds.
func TestDefragmenting(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Version: "3.6.16", Members: 1, Fsync: true})
	must(t, l.Load(patient(t), lab.LoadOptions{Keys: 3000, ValueBytes: 120_000}))
	const timeout = 800 * time.Millisecond // a fast disk takes little more than a second
	e := exportLab(t, l, "--scrape.timeout="+timeout.String())
	url := l.Endpoints()[0]
	must(t, e.Scrape("/metrics").Up(url))
	client, err := l.Client()
	must(t, err)
	defragmented := make(chan error, 1)
	began := time.Now()
	ctx := patient(t)
	go func() {
		_, err := client.Defragment(ctx, url)
		defragmented <- err
	}()
	seen := false
	for running := true; running; {
		s := e.Scrape("/metrics")
		if s.Up(url) != nil {
			check(t, s.Down(url, "defragmenting"))
			seen = true
		}
		if s.Took > timeout+slack {
			t.Errorf("the scrape took %s", s.Took)
		}
		select {
		case err := <-defragmented:
			must(t, err)
			running = false
		default:
		}
	}
	if !seen {
		t.Errorf("no scrape saw the defragmentation, which took %s", time.Since(began))
	}
	upWithinTwo(t, e, url)
}
