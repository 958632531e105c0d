// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/stack"
)

var units = filepath.Join(root, "deploy", "systemd")

// exposed is what `systemd-analyze security` may say of a service, in tenths; 10 is bad.
const exposed = "15"

// host finds a program of the operating system; not every one has it.
func host(t testing.TB, name string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		t.Skip(err)
	}
	return file
}

// program is one that `make build` has made.
func program(t testing.TB, name string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(root, "bin", name))
	must(t, err)
	if _, err := os.Stat(file); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	return file
}

// commandLine is ExecStart of a service, without flags from the environment, and with
// dir in place of /etc/etcdops.
func commandLine(t *testing.T, unit, dir string) (args []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(units, unit))
	must(t, err)
	found := regexp.MustCompile(`(?m)^ExecStart=(.+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s has no ExecStart", unit)
	}
	for word := range strings.FieldsSeq(string(found[1])) {
		if !strings.HasPrefix(word, "$") {
			args = append(args, strings.ReplaceAll(word, "/etc/etcdops", dir))
		}
	}
	args[0] = program(t, args[0])
	return args
}

// etc is /etc/etcdops as the packages bring it; the journal lies beside it.
func etc(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"etcd_exporter.yml", "etcd_remediator.yml"} {
		text, err := os.ReadFile(filepath.Join(units, name))
		must(t, err, os.WriteFile(filepath.Join(dir, name), bytes.ReplaceAll(text, []byte("/var/lib/etcd_remediator"), []byte(filepath.Join(dir, "journal"))), 0o600))
	}
	return dir
}

// TestUnits: systemd understands every line, and finds the services well shut in.
func TestUnits(t *testing.T) {
	analyze, dir := host(t, "systemd-analyze"), t.TempDir()
	var files []string
	for _, kind := range []string{"service", "socket", "timer"} {
		found, err := filepath.Glob(filepath.Join(units, "*."+kind))
		must(t, err)
		files = append(files, found...)
	}
	var copies []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		text = regexp.MustCompile(`(?m)^ExecStart=`).ReplaceAll(text, []byte("ExecStart="+filepath.Dir(program(t, "etcd_exporter"))+"/"))
		copies = append(copies, filepath.Join(dir, filepath.Base(file)))
		must(t, os.WriteFile(copies[len(copies)-1], text, 0o600))
	}
	if len(copies) != 5 {
		t.Errorf("the units are %v", files)
	}
	// A line that is not understood is a warning, and no failure.
	if said := command(t, analyze, append([]string{"verify", "--man=no"}, copies...)...); said != "" {
		t.Errorf("systemd-analyze verify:\n%s", said)
	}
	for _, file := range copies {
		if strings.HasSuffix(file, ".service") {
			command(t, analyze, "security", "--offline=true", "--threshold="+exposed, file)
		}
	}
}

// TestCredentials: what a service gets of root's is what the configuration may name,
// and each has a default, without which a missing file would keep it from starting.
func TestCredentials(t *testing.T) {
	for _, name := range []string{"etcd_exporter", "etcd_remediator"} {
		text, err := os.ReadFile(filepath.Join(units, name+".service"))
		must(t, err)
		config, err := os.ReadFile(filepath.Join(units, name+".yml"))
		must(t, err)
		loaded := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^LoadCredential=(.+):(.+)$`).FindAllStringSubmatch(string(text), -1) {
			loaded[m[1]] = true
			if m[2] != "/etc/etcdops/"+name+"/"+m[1] {
				t.Errorf("%s: the credential %s comes from %s", name, m[1], m[2])
			}
			if !strings.Contains(string(text), "\nSetCredential="+m[1]+":") {
				t.Errorf("%s: the credential %s has no default", name, m[1])
			}
		}
		if bind := fmt.Sprintf("\nBindReadOnlyPaths=/run/credentials/%[1]s.service:/etc/etcdops/%[1]s\n", name); !strings.Contains(string(text), bind) {
			t.Errorf("%s has no line %s", name, bind)
		}
		named := regexp.MustCompile(name+`/([\w.]+)`).FindAllStringSubmatch(string(config), -1)
		if len(named) < 4 {
			t.Errorf("%s.yml names %v", name, named)
		}
		for _, m := range named {
			if !loaded[m[1]] {
				t.Errorf("%s.yml names %s, which the unit does not load", name, m[1])
			}
		}
	}
}

// TestExporterSocket: the exporter takes the port from systemd, and its default
// configuration is good.
func TestExporterSocket(t *testing.T) {
	activate := host(t, "systemd-socket-activate")
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	address := free.Addr().String()
	must(t, free.Close())
	said := start(t, append([]string{activate, "--listen=" + address}, commandLine(t, "etcd_exporter.service", etc(t))...)...)
	must(t, stack.Await(t.Context(), 20*time.Second, "etcd_exporter answers", func() error {
		_, err := ask(t, http.MethodGet, "http://"+address+"/-/healthy", nil)
		return err
	}))
	if !strings.Contains(said.String(), "systemd activated listeners") {
		t.Errorf("it says\n%s", said)
	}
	var groups []struct {
		Labels map[string]string `json:"labels"`
	}
	text, err := ask(t, http.MethodGet, "http://"+address+"/sd", nil)
	must(t, err, json.Unmarshal(text, &groups))
	if len(groups) != 1 || groups[0].Labels["cluster"] != "default" {
		t.Errorf("/sd is %s", text)
	}
}

// TestRemediatorDefault: as it comes it serves on loopback, and plans only.
func TestRemediatorDefault(t *testing.T) {
	args := append(commandLine(t, "etcd_remediator.service", etc(t)), "--web.listen-address=127.0.0.1:0")
	said, url := start(t, args...), ""
	must(t, stack.Await(t.Context(), 20*time.Second, "etcd_remediator listens", func() error {
		found := regexp.MustCompile(`"Listening on" address=(\S+)`).FindStringSubmatch(said.String())
		if found == nil {
			return errors.New(said.String())
		}
		url = "http://" + found[1]
		return nil
	}))
	text, err := ask(t, http.MethodGet, url+"/metrics", nil)
	must(t, err)
	if !bytes.Contains(text, []byte(`etcdops_remediation_mode{mode="plan"} 1`)) {
		t.Errorf("the mode is not plan:\n%s", text)
	}
}

// start starts a program until the test ends, and gives what it says.
func start(t *testing.T, args ...string) *log {
	t.Helper()
	said := &log{}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = said, said
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return said
}
