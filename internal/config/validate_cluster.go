// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// cluster checks one cluster and gives it back completed.
func (c *checker) cluster(path string, in Cluster) Cluster {
	out := in
	if err := checkName(in.Name); err != nil {
		c.fault(path+".name", "%v", err)
	}
	out.Endpoints = c.endpoints(path+".endpoints", in.Endpoints)
	out.AllowCIDRs = slices.Clone(in.AllowCIDRs)
	if len(out.AllowCIDRs) == 0 {
		out.AllowCIDRs = nil // [] and absent are one
	}
	for i, p := range out.AllowCIDRs {
		if !p.IsValid() {
			c.fault(fmt.Sprintf("%s.allow_cidrs[%d]", path, i), "is no network: write one such as 10.0.0.0/8")
		}
		out.AllowCIDRs[i] = p.Masked()
	}
	out.TLS = c.tls(path+".tls", in.TLS, out.Endpoints)
	out.Auth = c.auth(path+".auth", in.Auth)
	if out.Auth.Username != "" && in.TLS.InsecureSkipVerify && anyHTTPS(out.Endpoints) {
		c.fault(path+".tls.insecure_skip_verify",
			"a password goes only over verified TLS: name the CA in %s instead, or remove %s",
			c.ref(path+".tls.ca_file"), c.ref(path+".auth.username"))
	}
	c.text(path+".probe_key", &out.ProbeKey, DefaultProbeKey)
	out.MetricsURLs = c.metricsURLs(path+".metrics_urls", in.MetricsURLs, out)
	out.DataDirs = c.dataDirs(path+".data_dirs", in.DataDirs, out)
	out.Keyspaces = c.keyspaces(path+".keyspaces", in.Keyspaces)
	out.Backups = c.backups(path+".backups", in.Backups)
	return out
}

// endpoints normalises the client URLs. A faulty one stays empty in the list,
// so that the others keep their place.
func (c *checker) endpoints(path string, in []string) []string {
	if len(in) == 0 {
		c.fault(path, "at least one client URL is needed, such as https://10.0.0.1:2379")
		return nil
	}
	out := make([]string, len(in))
	seen := c.unique()
	for i, raw := range in {
		where := fmt.Sprintf("%s[%d]", path, i)
		u, err := clientURL(raw)
		if err != nil {
			c.fault(where, "%v", err)
			continue
		}
		seen.check(where, u)
		out[i] = u
	}
	return out
}

// anyHTTPS is true as well while an endpoint is faulty: it may be meant so.
func anyHTTPS(endpoints []string) bool {
	return len(endpoints) == 0 || slices.ContainsFunc(endpoints, func(e string) bool {
		return !strings.HasPrefix(e, "http://")
	})
}

func (c *checker) tls(path string, in TLS, endpoints []string) TLS {
	out := in
	plain := !anyHTTPS(endpoints)
	for _, f := range []struct {
		field string
		set   bool
	}{
		{"ca_file", in.CAFile != ""},
		{"cert_file", in.CertFile != ""},
		{"key_file", in.KeyFile != ""},
		{"server_name", in.ServerName != ""},
		{"insecure_skip_verify", in.InsecureSkipVerify},
	} {
		if plain && f.set {
			c.fault(path+"."+f.field, "every endpoint is http://, so TLS would never be used: write https:// in the endpoints, or remove this")
		}
	}
	if in.CAFile != "" {
		out.CAFile = c.abs(in.CAFile)
		c.caFile(path+".ca_file", in.CAFile)
	}
	if in.ServerName != "" {
		name, err := cleanHost(in.ServerName)
		if err != nil {
			c.fault(path+".server_name", "%s is neither a name nor an address", quote(in.ServerName))
		}
		out.ServerName = name
	}
	cert, key := path+".cert_file", path+".key_file"
	switch {
	case in.CertFile != "" && in.KeyFile != "":
		out.CertFile, out.KeyFile = c.abs(in.CertFile), c.abs(in.KeyFile)
		c.keyPair(cert, in.CertFile, key, in.KeyFile)
	case in.CertFile != "" && !c.src.bad[key]:
		c.fault(cert, "needs %s as well: a client certificate is of no use without its key", c.ref(key))
	case in.KeyFile != "" && !c.src.bad[cert]:
		c.fault(key, "needs %s as well: a key is of no use without its certificate", c.ref(cert))
	}
	return out
}

func (c *checker) auth(path string, in Auth) Auth {
	out := in
	user, file := path+".username", path+".password_file"
	if in.PasswordFile != "" {
		out.PasswordFile = c.abs(in.PasswordFile)
		c.secretText(file, in.PasswordFile, 1)
	}
	switch {
	case in.Username != "" && in.PasswordFile == "" && !c.src.bad[file]:
		c.fault(user, "needs %s as well", c.ref(file))
	case in.Username == "" && in.PasswordFile != "" && !c.src.bad[user]:
		c.fault(file, "needs %s as well", c.ref(user))
	}
	return out
}

// memberKey checks the key of a setting that is given by client URL.
func (c *checker) memberKey(path, key string, cluster Cluster) string {
	u, err := clientURL(key)
	switch {
	case err != nil:
		c.fault(path, "%v", err)
	case !cluster.Discover && !slices.Contains(cluster.Endpoints, u):
		c.fault(path, "%s is not among the endpoints: add it there, or set discover: true", quote(u))
	default:
		return u
	}
	return ""
}

func (c *checker) metricsURLs(path string, in map[string]string, cluster Cluster) map[string]string {
	return c.byMember(path, in, cluster, func(where, given string) string {
		base, err := serviceURL(given)
		if err != nil {
			c.fault(where, "%v", err)
		}
		return strings.TrimSuffix(base, "/metrics")
	})
}

func (c *checker) dataDirs(path string, in map[string]string, cluster Cluster) map[string]string {
	return c.byMember(path, in, cluster, func(where, given string) string {
		if given == "" {
			c.fault(where, "is empty: name the member's data directory, such as /var/lib/etcd")
		}
		return c.directory(where, given)
	})
}

// byMember checks a mapping whose keys are client URLs.
func (c *checker) byMember(path string, in map[string]string, cluster Cluster, value func(where, given string) string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out, seen := make(map[string]string, len(in)), c.unique()
	for _, key := range slices.Sorted(maps.Keys(in)) {
		where := join(path, key)
		member := c.memberKey(where, key, cluster)
		seen.check(where, member)
		out[member] = value(where, in[key])
	}
	return out
}

func (c *checker) keyspaces(path string, in []Keyspace) []Keyspace {
	if in == nil {
		return []Keyspace{
			{Prefix: defaultKeyspacePrefix, Interval: DefaultKeyspaceInterval, MaxGroups: DefaultKeyspaceMaxGroups, SampleExclude: defaultSampleExclude()},
			{Prefix: defaultKeyspaceEventsPrefix, Interval: defaultEventsScanInterval, MaxGroups: defaultEventsScanMaxGroups, SampleExclude: defaultSampleExclude()},
		}
	}
	out, seen := slices.Clone(in), c.unique()
	for i := range out {
		where := fmt.Sprintf("%s[%d]", path, i)
		k := &out[i]
		if k.Prefix == "" {
			c.fault(where+".prefix", "is needed, such as /registry/")
		}
		seen.check(where+".prefix", k.Prefix)
		c.positive(where+".interval", &k.Interval, DefaultKeyspaceInterval)
		c.atLeastOne(where+".max_groups", &k.MaxGroups, DefaultKeyspaceMaxGroups)
		if k.SampleExclude == nil {
			k.SampleExclude = defaultSampleExclude()
		}
		for j, group := range k.SampleExclude {
			if group == "" {
				c.fault(fmt.Sprintf("%s.sample_exclude[%d]", where, j), "is empty: name a group, such as secrets")
			}
		}
	}
	return out
}

func defaultSampleExclude() []string { return []string{"secrets"} }
