// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/dispatch"
)

// TestCeiling: a policy's mode is never above the program's.
func TestCeiling(t *testing.T) {
	for _, test := range []struct{ ceiling, mode, want string }{
		{"plan", "", "plan"},
		{"plan", "enforce", "plan"},
		{"plan", "approve", "plan"},
		{"approve", "enforce", "approve"},
		{"approve", "plan", "plan"},
		{"enforce", "", "enforce"},
		{"enforce", "plan", "plan"},
	} {
		if got := under(test.ceiling, test.mode); got != test.want {
			t.Errorf("--mode=%s, mode %q: %s, want %s", test.ceiling, test.mode, got, test.want)
		}
	}
}

// TestCallers: who has to prove what before a listener is opened.
func TestCallers(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	basic := write("basic.yml", "basic_auth_users: {ann: $2y$10$abcdefghijklmnopqrstuv}\n")
	withTLS := "tls_server_config: {cert: x, key: y, client_ca: z, client_auth_type: %s}\n"
	required := write("required.yml", strings.ReplaceAll(withTLS, "%s", "RequireAndVerifyClientCert"))
	anyCA := write("any.yml", "tls_server_config: {cert: x, key: y, client_auth_type: RequireAndVerifyClientCert}")
	asked := write("asked.yml", strings.ReplaceAll(withTLS, "%s", "VerifyClientCertIfGiven"))
	for _, test := range []struct {
		name, file string
		bearer     bool
		admin      bool
		known      bool
		wrong      string
	}{
		{name: "nothing"},
		{name: "a token", bearer: true, known: true},
		{name: "basic auth", file: basic, known: true},
		{name: "both", file: basic, bearer: true, wrong: "cannot go together"},
		{name: "basic auth and the admin's token", file: basic, admin: true, wrong: "cannot go together"},
		{name: "the admin's token alone", admin: true},
		{name: "certificates", file: required, known: true},
		{name: "certificates of any CA", file: anyCA, wrong: "needs client_ca_file"},
		{name: "certificates of any CA, and a token", file: anyCA, bearer: true, wrong: "needs client_ca_file"},
		{name: "certificates for who likes", file: asked},
		{name: "no such file", file: filepath.Join(dir, "none"), wrong: "--web.config.file"},
	} {
		c, err := readWeb(test.file)
		known := false
		if err == nil {
			known, err = knowsCallers(c, test.bearer, test.admin)
		}
		if known != test.known || (err != nil) != (test.wrong != "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%s: %v, %v", test.name, known, err)
		}
	}
}

func TestListeners(t *testing.T) {
	v := &config.Validated{Remediation: &config.Remediation{Policies: []config.Policy{{Name: "p"}}}}
	for _, test := range []struct {
		address, mode string
		allow, good   bool
	}{
		{"127.0.0.1:10380", "plan", false, true},
		{"localhost:10380", "approve", false, true},
		{"[::1]:10380", "plan", false, true},
		{":10380", "plan", false, false},
		{"0.0.0.0:10380", "plan", false, false},
		{"10.0.0.1:10380", "plan", false, false},
		{"vsock://:10380", "plan", false, false},
		{"127.0.0.1:10380", "enforce", false, false},
		{"127.0.0.1:10380", "enforce", true, true},
		{":10380", "enforce", true, true},
	} {
		no, none, listen := false, "", []string{test.address}
		o := Options{Mode: test.mode, AllowUnauthenticated: test.allow, Web: &toolkit.FlagConfig{WebListenAddresses: &listen, WebSystemdSocket: &no, WebConfigFile: &none}}
		if err := checkServe(o, v); (err == nil) != test.good {
			t.Errorf("%s with --mode=%s, allowed %v: %v", test.address, test.mode, test.allow, err)
		}
	}
}

// TestWindows: Alertmanager's own notation, and what is wrong with it.
func TestWindows(t *testing.T) {
	parse := func(text string) (*config.Validated, error) {
		return config.Parse("etcdops.yml", []byte("clusters: [{name: a, endpoints: [http://a:1]}]\nremediation:\n  windows: ["+text+"]\n"))
	}
	v, err := parse(`{times: [{start_time: "01:00", end_time: "05:00"}], weekdays: ["monday:friday"], location: Europe/Berlin}`)
	if err != nil {
		t.Fatal(err)
	}
	open, err := windows(v.Remediation)
	if err != nil || len(open) != 1 {
		t.Fatalf("%v, %v", open, err)
	}
	for at, want := range map[string]bool{"2026-11-24T01:30:00Z": true, "2026-11-24T05:30:00Z": false, "2026-11-22T01:30:00Z": false} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if open[0].ContainsTime(when) != want {
			t.Errorf("%s: %v", at, !want)
		}
	}
	for _, wrong := range []string{`{times: [{start_time: "25:00", end_time: "05:00"}]}`, `{hours: 3}`, `{weekdays: [someday]}`} {
		if v, err = parse(wrong); err != nil {
			continue
		}
		if _, err = windows(v.Remediation); err == nil || !strings.Contains(err.Error(), "windows[0]") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// TestPrint: what comes from elsewhere stays on its line, and sizes can be read.
func TestPrint(t *testing.T) {
	begun := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	run := &remediate.Run{
		ID: "r", Cluster: "prod", Policy: "p\x1b[31m", Action: "defrag", Outcome: remediate.Succeeded, Reason: "all is\ndone",
		Guards: []remediate.Verdict{{Guard: "health", Verdict: remediate.Allow}},
		Steps: []*remediate.Step{{
			Action: remediate.StepDefrag, Member: "m\u202e1", Reason: "because", StartedAt: begun, FinishedAt: begun.Add(90 * time.Second),
			BeforeBytes: 3 << 30, AfterBytes: 1 << 29,
		}},
	}
	var out bytes.Buffer
	printRun(&out, run)
	for _, want := range []string{"p?[31m", "m?1", "3.0 GiB -> 512.0 MiB", "1m30s", "all is?done"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// TestPrintJSON: a list is a list, also where it is empty, and each verdict has its
// reason.
func TestPrintJSON(t *testing.T) {
	for want, run := range map[string]remediate.Run{
		`"guards": []`: {}, `"steps": []`: {}, `"reason": ""`: {Guards: []remediate.Verdict{{Guard: "health", Verdict: remediate.Allow}}, Reason: "none is needed"},
	} {
		var out bytes.Buffer
		if err := printJSON(&out, &run); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s (%v)", want, &out, err)
		}
	}
}

// TestRefusedIsNotAskedFor: a person is not asked whether to do what a guard refuses.
func TestRefusedIsNotAskedFor(t *testing.T) {
	for outcome, want := range map[remediate.Outcome][]bool{
		remediate.Refused: {true}, remediate.NothingToDo: {true}, remediate.Planned: {true, false}, // plan, act
	} {
		var asked []bool
		ask := func(_ context.Context, q dispatch.Request, _ dispatch.How) (*remediate.Run, error) {
			asked = append(asked, q.Plan)
			return &remediate.Run{Outcome: outcome}, nil
		}
		confirmed := 0
		h := Hand{Stderr: io.Discard, Confirm: func(string) bool { confirmed++; return true }}
		run, err := h.confirmed(t.Context(), ask, dispatch.How{})
		if err != nil || run.Outcome != outcome || !slices.Equal(asked, want) || confirmed != len(want)-1 {
			t.Errorf("%s: %+v, %v; plans %v, confirmed %d times", outcome, run, err, asked, confirmed)
		}
	}
}

// TestSocketPath: a journal in a deep directory has a socket all the same.
func TestSocketPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("a-long-name/", 12))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if socketAnswers(t.Context(), dir) {
		t.Error("nobody listens, and somebody answers")
	}
	listener, err := listenSocket(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if !socketAnswers(t.Context(), dir) {
		t.Error("nobody answers")
	}
	info, err := os.Stat(filepath.Join(dir, socketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
