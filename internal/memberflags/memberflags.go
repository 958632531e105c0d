// SPDX-License-Identifier: Apache-2.0

// Package memberflags reads the command line of an etcd member. It gives out a short
// list of settings, each in one form, so that equal ones compare equal. Whatever else
// stands there (names, paths, tokens) stays inside.
package memberflags

import (
	"strconv"
	"strings"
	"time"
)

// clientCertAuth is the one flag of the list that is a boolean: a word after it is no
// value of its own.
const clientCertAuth = "client-cert-auth"

// defaultQuota is what etcd takes for a quota of 0, in bytes.
const defaultQuota = 2 << 30

// forms gives each setting of the list its one form; "" where the text says nothing that
// etcd would take. Since no other text leaves this package, nothing else can.
func forms() map[string]func(text string) string {
	return map[string]func(string) string{
		"auto-compaction-mode":  oneOf("periodic", "revision"),
		"quota-backend-bytes":   quota,
		"heartbeat-interval":    number, // milliseconds
		"election-timeout":      number, // milliseconds
		"snapshot-count":        number,
		clientCertAuth:          boolean,
		"initial-cluster-state": oneOf("new", "existing"),
	}
}

const retention = "auto-compaction-retention" // its form depends on the mode

// Parse reads words as Go's flag package does: one dash or two, the value after = or as
// the next word, the last one wins. A flag that is not of the list takes the next word
// unless that begins with a dash. rest are the words that belong to no flag.
func Parse(words []string) (flags map[string]string, rest []string) {
	flags = map[string]string{}
	listed := forms()
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		name, dashed := strings.CutPrefix(word, "-")
		name = strings.TrimPrefix(name, "-")
		if !dashed || name == "" {
			rest = append(rest, word)
			continue
		}
		name, value, has := strings.Cut(name, "=")
		_, takes := listed[name]
		switch {
		case has:
		case name == clientCertAuth:
			value = "true"
		case len(words) > 0 && (takes || name == retention || !strings.HasPrefix(words[0], "-")):
			value, words = words[0], words[1:]
		}
		flags[name] = value
	}
	return flags, rest
}

// Settings gives the settings of the list that a command line tells for certain, by
// flag. None where it is no command line of etcd's (an embedding program, a proxy), or
// names a configuration file, which makes etcd ignore all other flags. What is not on the
// command line may be a default or come from the environment: nobody knows.
func Settings(words []string) map[string]string {
	if len(words) > 0 && !strings.HasPrefix(words[0], "-") {
		words = words[1:] // the program
	}
	flags, rest := Parse(words)
	if len(rest) > 0 || flags["config-file"] != "" {
		return nil
	}
	told := map[string]string{}
	for name, form := range forms() {
		if text, given := flags[name]; given {
			keep(told, name, form(text))
		}
	}
	if text, given := flags[retention]; given {
		keep(told, retention, period(text, told["auto-compaction-mode"]))
	}
	return told
}

func keep(told map[string]string, name, value string) {
	if value != "" {
		told[name] = value
	}
}

func oneOf(values ...string) func(string) string {
	return func(text string) string {
		for _, value := range values {
			if text == value {
				return value
			}
		}
		return ""
	}
}

// number and the next two read as etcd does, whose flags are Go's: 0x10 is 16.
func number(text string) string {
	n, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// quota: every number below zero means no quota at all.
func quota(text string) string {
	n, err := strconv.ParseInt(text, 0, 64)
	switch {
	case err != nil:
		return ""
	case n == 0:
		n = defaultQuota
	case n < 0:
		n = -1
	}
	return strconv.FormatInt(n, 10)
}

func boolean(text string) string {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return ""
	}
	return strconv.FormatBool(b)
}

// period is a retention: 5 is five hours in periodic mode and five revisions in the
// other. Without a mode beside it a bare number says neither. 0 is off in both.
func period(text, mode string) string {
	n, err := strconv.Atoi(text)
	bare := err == nil && n >= 0
	var d time.Duration
	switch {
	case bare && (n == 0 || mode == "revision"):
		return strconv.Itoa(n)
	case bare && mode == "":
		return ""
	case bare && int64(n) > int64(1<<63-1)/int64(time.Hour): // etcd's own sum overflows
		return ""
	case bare:
		d = time.Duration(n) * time.Hour
	default:
		if d, err = time.ParseDuration(text); err != nil {
			return ""
		}
	}
	switch {
	case d == 0:
		return "0"
	case mode == "revision": // so it is read there: so many nanoseconds, so many revisions
		return strconv.FormatInt(int64(d), 10)
	default:
		return d.String()
	}
}
