// SPDX-License-Identifier: Apache-2.0

//go:build linux

package operations

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// desk is the machine that the reader works from.
const desk = "desk"

func hosts() []string { return []string{desk, "db1", "db2", "db3", "db4", "db5"} }

// place is where a page's hosts are: a directory each, and loopback addresses. Pages
// name 10.0.0.N, standard ports and absolute paths; here those are others.
type place struct {
	dir   string
	net   string            // for 10.0.0.: "127.7.8."
	loop  string            // for the hosts' own 127.0.0.1: "127.7.9."
	ports map[string]string // a page's port -> the lab's
}

var (
	pagePort = regexp.MustCompile(`:(2379|2380|2381|9090|9093|10379|10380)\b`)
	pageLoop = regexp.MustCompile(`\b127\.0\.0\.1\b|\blocalhost(:\d)`)
	// Behind a colon it is another host's (scp), or not a file at all.
	pagePath = regexp.MustCompile(`(^|[\s"'=,(<>@{])(/(?:etc|var|opt|srv|tmp|usr/local)\b)`)
)

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcdops-page-") //nolint:usetesting // short: a socket's name may have 107 characters
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	a, b := 1+rand.IntN(250), 2*rand.IntN(120)
	l := &place{dir: dir, net: fmt.Sprintf("127.%d.%d.", a, b), loop: fmt.Sprintf("127.%d.%d.", a, b+1), ports: map[string]string{}}
	for _, port := range []string{"2379", "2380", "2381", "9090", "9093", "10379", "10380"} {
		l.ports[port] = freePort(t, l.ports)
	}
	for _, host := range hosts() {
		for _, sub := range []string{"etc/default", "var/lib", "var/backups", "var/log", "opt", "srv", "home", "tmp", "usr/local/bin"} {
			must(t, os.MkdirAll(filepath.Join(l.home(host), sub), 0o755))
		}
	}
	return l
}

// freePort finds a port that nobody listens on, at any address, below the range that
// outgoing connections get theirs from.
func freePort(t *testing.T, taken map[string]string) string {
	t.Helper()
	err := errors.New("none tried")
next:
	for range 100 {
		port := 10240 + rand.IntN(21000)
		for _, other := range taken {
			if other == strconv.Itoa(port) {
				continue next
			}
		}
		var listener *net.TCPListener
		if listener, err = net.ListenTCP("tcp", &net.TCPAddr{Port: port}); err == nil {
			must(t, listener.Close())
			return strconv.Itoa(port)
		}
	}
	t.Fatalf("no free port: %v", err)
	return ""
}

// home is a host's root directory.
func (l *place) home(host string) string { return filepath.Join(l.dir, host) }

// loopback is a host's own 127.0.0.1.
func (l *place) loopback(host string) string {
	return l.loop + number(host)
}

// number is the last part of a host's address.
func number(host string) string {
	if host == desk {
		return "100"
	}
	return strings.TrimPrefix(host, "db")
}

// toLab puts the lab's addresses, ports and files in the place of the page's.
func (l *place) toLab(host, text string) string {
	text = pagePath.ReplaceAllString(text, "${1}"+l.home(host)+"${2}")
	text = pageLoop.ReplaceAllString(text, l.loopback(host)+"${1}")
	text = strings.ReplaceAll(text, "10.0.0.", l.net)
	return pagePort.ReplaceAllStringFunc(text, func(port string) string { return ":" + l.ports[port[1:]] })
}

// toPage is the way back, for what the commands print.
func (l *place) toPage(text string) string {
	for _, host := range hosts() {
		text = strings.ReplaceAll(text, l.home(host)+"/", "/")
		text = strings.ReplaceAll(text, l.loopback(host), "127.0.0.1")
	}
	text = strings.ReplaceAll(text, l.net, "10.0.0.")
	for page, port := range l.ports {
		text = strings.ReplaceAll(text, ":"+port, ":"+page)
	}
	return text
}

// environment is all that a shell of a host gets.
func (l *place) environment(host string) []string {
	home := l.home(host)
	return []string{
		"PATH=" + strings.Join([]string{filepath.Join(l.dir, "bin"), filepath.Join(home, "usr", "local", "bin"), "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}, ":"),
		"HOME=" + filepath.Join(home, "home"), "TMPDIR=" + filepath.Join(home, "tmp"), "LANG=C.UTF-8",
		"LAB_HOST=" + host, "LAB_DIR=" + l.dir, "LAB_NET=" + l.net,
		"LAB_CLIENT_PORT=" + l.ports["2379"], "LAB_PEER_PORT=" + l.ports["2380"],
	}
}
