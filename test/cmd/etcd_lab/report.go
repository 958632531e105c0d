// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/etcdops/etcdops/test/lab"
)

// report is what a person wants to know about the lab.
type report struct {
	flags           *flags
	lab             *lab.Lab
	started, loaded time.Duration
	config          string
	rootPassword    string // "": auth is off
}

func (r *report) print() {
	line := func(format string, args ...any) { fmt.Fprintf(r.flags.out, format+"\n", args...) }
	line("%s, ready in %.1f s; %d keys loaded in %.1f s", r.title(), r.started.Seconds(),
		r.flags.load.Keys+r.flags.load.Events, r.loaded.Seconds())
	line("")
	title := "endpoints"
	for _, m := range r.lab.Members() {
		note := ""
		if r.flags.learner && m == r.lab.Member(r.flags.options.Members) {
			note = "  (learner)"
		}
		line("  %-9s  %s%s", title, m.ClientURL(), note)
		title = ""
	}
	if r.flags.tls {
		line("  %-9s  %s", "CA", r.lab.CAFile())
		line("  %-9s  %s", "client", r.lab.ClientCert())
		line("  %-9s  %s", "", r.lab.ClientKey())
	}
	if r.rootPassword != "" {
		line("  %-9s  root %s; etcdops may read %s", "users", r.rootPassword, userPrefix)
	}
	line("  %-9s  %s", "config", r.config)
	line("  %-9s  %s", "logs", r.lab.Dir()+"/logs")
	line("")
	line("  %s endpoint status --write-out=table", r.etcdctl())
	line("")
	if r.flags.exporter != "" {
		r.printExporter(line)
	}
	if len(r.flags.command) == 0 {
		line("Ctrl-C stops it.")
	}
}

// printExporter tells how to use the exporter that is started next.
func (r *report) printExporter(line func(string, ...any)) {
	address := r.flags.exporter
	if strings.HasPrefix(address, ":") {
		address = "localhost" + address
	}
	line("  %-9s  http://%s/          the state at a glance", "exporter", address)
	line("  %-9s  http://%s/metrics   what Prometheus scrapes", "", address)
	line("")
	line("  scrape_configs:")
	line("    - job_name: etcd")
	line("      static_configs:")
	line("        - targets: ['%s']", address)
	line("          labels: {cluster: lab}")
	line("")
	line("Ctrl-C stops everything.")
	line("")
}

// title says what runs: "3 members of etcd 3.6.16 over mTLS".
func (r *report) title() string {
	version, security, plural := "embedded etcd", "mTLS", "s"
	if r.flags.version != embedded {
		version = "etcd " + r.flags.version
	}
	if !r.flags.tls {
		security = "plain HTTP"
	}
	if r.flags.options.Members == 1 {
		plural = ""
	}
	title := fmt.Sprintf("%d member%s of %s over %s", r.flags.options.Members, plural, version, security)
	if r.flags.learner {
		title += ", a learner"
	}
	if r.flags.unstarted {
		title += ", an unstarted voter"
	}
	return title
}

// etcdctl is a command line to paste.
func (r *report) etcdctl() string {
	words := []string{"etcdctl", "--endpoints=" + strings.Join(r.lab.Endpoints(), ",")}
	if r.flags.tls {
		words = append(words, "--cacert="+r.lab.CAFile(), "--cert="+r.lab.ClientCert(), "--key="+r.lab.ClientKey())
	}
	if r.rootPassword != "" {
		words = append(words, "--user=root:"+r.rootPassword)
	}
	return strings.Join(words, " ")
}
