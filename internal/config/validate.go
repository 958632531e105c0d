// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Validated is a configuration that may be used: checked, completed with its
// defaults, with absolute file names and normalised URLs.
type Validated struct {
	Clusters    []Cluster
	Remediation *Remediation // nil when the file has none
	Warnings    []string     // for the log at start, one line each

	src *source
}

// Cluster finds a cluster by its name.
func (v *Validated) Cluster(name string) (Cluster, bool) {
	for _, c := range v.Clusters {
		if c.Name == name {
			return c, true
		}
	}
	return Cluster{}, false
}

// Fault makes a fault about a field of this configuration, with its file and
// line, for whoever checks more than this package can (matchers, windows). The
// field is written as in remediation.policies[0].matchers[1].
func (v *Validated) Fault(field, message string) Fault {
	return v.src.fault(field, message)
}

// Validate checks and completes a configuration. Its error is a Faults. The
// Config itself is not changed.
func (c *Config) Validate(opts ...Option) (*Validated, error) {
	return c.validate(nil, 0, opts)
}

// validate continues the list of faults that reading has begun.
func (c *Config) validate(faults Faults, dropped int, opts []Option) (*Validated, error) {
	src := c.src
	if src == nil {
		src = &source{}
	}
	ck := &checker{src: src, faults: faults, dropped: dropped, warned: map[string]bool{}}
	for _, opt := range opts {
		opt(&ck.options)
	}
	v := &Validated{src: src}
	if len(c.Clusters) == 0 {
		ck.fault("clusters", "at least one cluster is needed")
	}
	names := ck.unique()
	for i, cluster := range c.Clusters {
		path := fmt.Sprintf("clusters[%d]", i)
		cluster = ck.cluster(path, cluster)
		names.check(path+".name", cluster.Name)
		v.Clusters = append(v.Clusters, cluster)
	}
	ck.mirrors(v.Clusters)
	if c.Remediation != nil {
		v.Remediation = ck.remediation("remediation", *c.Remediation, v.Clusters)
	}
	if len(ck.faults) > 0 {
		return nil, ck.faults.sorted(src.file, ck.dropped)
	}
	v.Warnings = ck.warnings
	return v, nil
}

// line finds where a field stands, or else the nearest thing around it.
func (s *source) line(path string) int {
	for path != "" {
		if line, ok := s.lines[path]; ok {
			return line
		}
		path = parent(path)
	}
	return 0
}

// name is what the user calls a field: its path, or the flag it came from.
func (s *source) name(path string) string {
	for p := path; p != "" && s.flags != nil; p = parent(p) {
		if flag, ok := s.flags[p]; ok {
			return flag
		}
	}
	return path
}

func (s *source) fault(path, message string) Fault {
	return Fault{File: s.file, Line: s.line(path), Field: s.name(path), Message: message}
}

func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// checker collects what is wrong with a configuration.
type checker struct {
	options
	src      *source
	faults   Faults
	dropped  int
	warnings []string
	warned   map[string]bool // files that have had their warning
}

func (c *checker) fault(path, format string, args ...any) {
	for p := path; p != ""; p = parent(p) {
		if c.src.bad[p] {
			return // reading has said what is wrong with it, or with all around it
		}
	}
	c.faults.add(c.src.fault(path, fmt.Sprintf(format, args...)), &c.dropped)
}

func (c *checker) warn(path, format string, args ...any) {
	c.warnings = append(c.warnings, c.src.fault(path, fmt.Sprintf(format, args...)).Error())
}

// given says that the file holds the field, whatever its value.
func (c *checker) given(path string) bool { _, ok := c.src.lines[path]; return ok || c.src.bad[path] }

// ref names another field within a message: its last part, or its flag.
func (c *checker) ref(path string) string {
	if name := c.src.name(path); name != path {
		return name
	}
	return path[strings.LastIndex(path, ".")+1:]
}

// abs makes a file name absolute.
func (c *checker) abs(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	abs, err := filepath.Abs(filepath.Join(c.src.dir, name))
	if err != nil { // no working directory: what uses the name will say so
		return filepath.Join(c.src.dir, name)
	}
	return abs
}

// text fills in a default; written out, it must not be empty.
func (c *checker) text(path string, v *string, def string) {
	if *v != "" {
		return
	}
	if c.given(path) {
		c.fault(path, "must not be empty: leave it out for the default %s", def)
	}
	*v = def
}

// positive fills in a default; written out, it must be above zero.
func (c *checker) positive(path string, v *time.Duration, def time.Duration) {
	if *v < 0 || *v == 0 && c.given(path) {
		c.fault(path, "must be above zero, such as %s", shortDuration(def))
		return
	}
	if *v == 0 {
		*v = def
	}
}

// atLeastOne fills in a default; written out, it must be 1 or more.
func (c *checker) atLeastOne(path string, v *int, def int) {
	if *v < 0 || *v == 0 && c.given(path) {
		c.fault(path, "must be 1 or more, not %d", *v)
		return
	}
	if *v == 0 {
		*v = def
	}
}

// shortDuration writes 10m where time.Duration writes 10m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// uniqueness reports values that are given twice, with where the first stands.
type uniqueness struct {
	c     *checker
	first map[string]string // value -> path
}

func (c *checker) unique() uniqueness { return uniqueness{c, map[string]string{}} }

func (u uniqueness) check(path, value string) {
	if value == "" {
		return // another check says so
	}
	first, twice := u.first[value]
	if !twice {
		u.first[value] = path
		return
	}
	where := ""
	if line := u.c.src.line(first); line > 0 {
		where = ", first on line " + strconv.Itoa(line)
	}
	u.c.fault(path, "%s is given twice%s: each must be unique", quote(value), where)
}

var saneName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// checkName says what is wrong with a name that becomes a URL parameter and a
// label; nil when nothing is.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("is needed: letters, digits, hyphen, underscore and dot")
	case len(name) > 128:
		return fmt.Errorf("%s is longer than 128 characters", quote(name))
	case !saneName.MatchString(name):
		return fmt.Errorf("%s holds more than letters, digits, hyphen, underscore and dot", quote(name))
	}
	return nil
}
