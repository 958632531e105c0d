// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var labelName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// remediation checks the block and gives it back completed. The faults of
// matchers and windows beyond their shape are for the remediator to find.
func (c *checker) remediation(path string, in Remediation, clusters []Cluster) *Remediation {
	out := in
	c.text(path+".journal", &out.Journal, DefaultJournal)
	out.Journal = c.directory(path+".journal", out.Journal)
	c.text(path+".alert_cluster_label", &out.AlertClusterLabel, DefaultAlertClusterLabel)
	if !labelName.MatchString(out.AlertClusterLabel) {
		c.fault(path+".alert_cluster_label", "%s is no label name: letters, digits and _, not a digit first", quote(out.AlertClusterLabel))
	}
	c.tokens(path, &out)
	c.election(path+".election", &out.Election)
	c.atLeastOne(path+".max_concurrent_clusters", &out.MaxConcurrentClusters, 1)
	for i, w := range out.Windows {
		where := fmt.Sprintf("%s.windows[%d]", path, i)
		if !w.IsMapping() && !c.src.bad[where] {
			c.fault(where, "must be a mapping: an Alertmanager time interval, such as {times: [{start_time: 01:00, end_time: 05:00}]}")
		}
	}
	c.service(path+".prometheus.url", &out.Prometheus.URL)
	c.notify(path+".notify", &out.Notify)

	out.Policies = slices.Clone(in.Policies)
	names := c.unique()
	for i := range out.Policies {
		where := fmt.Sprintf("%s.policies[%d]", path, i)
		names.check(where+".name", out.Policies[i].Name)
		c.policy(where, &out.Policies[i], clusters)
		if len(out.Policies[i].RequireQueries) > 0 && out.Prometheus.URL == "" && !c.src.bad[path+".prometheus.url"] {
			c.fault(where+".require_queries", "needs remediation.prometheus.url: say who answers the queries")
		}
	}
	return &out
}

// tokens keeps the webhook's token from opening what the admin's does.
func (c *checker) tokens(path string, r *Remediation) {
	bearer := c.token(path+".bearer_token_file", &r.BearerTokenFile)
	admin := c.token(path+".admin_token_file", &r.AdminTokenFile)
	same := r.BearerTokenFile != "" && r.BearerTokenFile == r.AdminTokenFile
	if same || len(bearer) > 0 && bytes.Equal(bearer, admin) {
		c.fault(path+".admin_token_file", "must hold another token than bearer_token_file: the webhook's token must not open what the admin's does")
	}
}

// token makes a token file's name absolute, and reads it where the caller asked.
func (c *checker) token(path string, name *string) []byte {
	if *name == "" {
		return nil
	}
	var content []byte
	switch {
	case c.remediationSecrets:
		content = c.secretText(path, *name, minTokenBytes)
	case looksPasted(*name):
		c.fault(path, "must name a file, not hold its content")
	}
	*name = c.abs(*name)
	return content
}

func (c *checker) election(path string, e *Election) {
	c.text(path+".prefix", &e.Prefix, DefaultElectionPrefix)
	switch {
	case strings.HasPrefix(e.Prefix, defaultKeyspacePrefix):
		c.fault(path+".prefix", "%s lies within Kubernetes' own keys: choose one outside /registry/, such as %s", quote(e.Prefix), DefaultElectionPrefix)
	case len(e.Prefix) < 2 || !strings.HasSuffix(e.Prefix, "/"):
		c.fault(path+".prefix", "%s must name something and end in a slash, as %s does", quote(e.Prefix), DefaultElectionPrefix)
	}
}

// service checks a URL that may be left out.
func (c *checker) service(path string, u *string) {
	if *u == "" {
		return
	}
	clean, err := serviceURL(*u)
	if err != nil {
		c.fault(path, "%v", err)
		return
	}
	*u = clean
}

func (c *checker) notify(path string, n *Notify) {
	c.service(path+".alertmanager", &n.Alertmanager)
	url, file := path+".grafana.url", path+".grafana.token_file"
	switch {
	case n.Grafana.URL != "" && n.Grafana.TokenFile == "" && !c.src.bad[file]:
		c.fault(url, "needs token_file as well: Grafana takes annotations only from a service account")
	case n.Grafana.URL == "" && n.Grafana.TokenFile != "" && !c.src.bad[url]:
		c.fault(file, "needs url as well")
	}
	c.service(url, &n.Grafana.URL)
	if n.Grafana.TokenFile == "" {
		return
	}
	if c.remediationSecrets {
		c.secretText(file, n.Grafana.TokenFile, 1)
	}
	n.Grafana.TokenFile = c.abs(n.Grafana.TokenFile)
}
