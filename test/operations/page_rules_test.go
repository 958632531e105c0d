// SPDX-License-Identifier: Apache-2.0

//go:build linux

package operations

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestPagesThatAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"a language that is not run": "```bash\ntrue\n```\n",
		"no language":                "```\ntrue\n```\n",
		"a file without a name":      "```yaml\na: 1\n```\n",
		"no reason":                  "<!-- not run: -->\n```sh\ntrue\n```\n",
		"an unknown directive":       "<!-- failing -->\n```sh\nfalse\n```\n",
		"a directive of nothing":     "<!-- fails -->\nand then\n```sh\nfalse\n```\n",
		"a directive at the end":     "<!-- fails -->\n",
		"output of nothing":          "```text\na\n```\n",
		"two outputs":                "```sh\ntrue\n```\n```text\na\n```\n```text\nb\n```\n",
		"no end":                     "```sh\ntrue\n",
		"more than a language":       "```sh on db1\ntrue\n```\n",
	} {
		if _, err := parse("page.md", text); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}

func TestPageIsUnderstood(t *testing.T) {
	p, err := parse("page.md", strings.Join([]string{
		"<!-- etcd 3.5.35 3.6.16 -->", "<!-- lab", "lab-cluster db1", "-->",
		"1. First", "", "   ```sh", "   # on db1, then db3", "   true", "   ```", "   ```text", "   a", "   ```",
		"<!-- fails -->", "```sh", "false", "```",
		"<!-- file: /etc/x.yml on db2 -->", "```yaml", "a: 1", "```",
		"<!-- not run: no such machine -->", "```sh", "reboot", "```", "",
	}, "\n"))
	must(t, err)
	want := "3 blocks run, 1 with their output compared, 1 not run; 1 of the lab's own"
	if got := p.counts().String(); got != want {
		t.Errorf("%s; want %s", got, want)
	}
	b := p.blocks
	if strings.Join(b[1].hosts, " ") != "db1 db3" || b[1].text != "# on db1, then db3\ntrue\n" || !b[2].fails ||
		b[3].file != "/etc/x.yml" || b[3].hosts[0] != "db2" || b[4].reason != "no such machine" || len(p.versions) != 2 {
		t.Errorf("blocks are %+v %+v %+v %+v %+v", b[0], b[1], b[2], b[3], b[4])
	}
}

func TestOutputIsCompared(t *testing.T) {
	const output = "a   b\n+------+--+\n| 17 s |\nend\n"
	for _, want := range []string{"a b\nend", "+---+--+\n| ... |", "a ...", "...\nend"} {
		if err := compare(strings.Split(want, "\n"), output); err != nil {
			t.Errorf("%q: %v", want, err)
		}
	}
	for _, want := range []string{"end\na b", "a", "en.", "a b\na b", "|"} {
		if compare(strings.Split(want, "\n"), output) == nil {
			t.Errorf("%q is found", want)
		}
	}
}

// TestBlocksThatFail shows that a page fails by its commands, wherever they run.
func TestBlocksThatFail(t *testing.T) {
	l := newPlace(t)
	s := newSession(t, l, newUnits(t, l))
	for _, b := range []*block{
		{text: "true", fails: true},
		{text: "# on db1\nfalse\ntrue", hosts: []string{"db1"}},
		{text: "# on db1\ntrue", hosts: []string{"db1"}, fails: true},
		{text: "# on db1\nsystemctl start nothing", hosts: []string{"db1"}},
		{text: "false | true\ntrue"}, // the last one: it ends the session
	} {
		if output, err := s.run(t, b); err == nil {
			t.Errorf("%q succeeds: %s", b.text, output)
		}
	}
}

func TestSessionStays(t *testing.T) {
	l := newPlace(t)
	s := newSession(t, l, newUnits(t, l))
	for _, b := range []*block{
		{text: "a=1; sleep 100 &"},
		{text: "a=2; false", fails: true},
		{text: "kill $!; test $a = 1; echo 10.0.0.1:2379 >/tmp/x; scp /tmp/x db2:/etc/y"},
		{text: "test -z \"${a-}\"; hostname; cat /etc/y", hosts: []string{"db2"}},
	} {
		output, err := s.run(t, b)
		if err != nil {
			t.Fatalf("%q: %v\n%s", b.text, err, output)
		}
		if len(b.hosts) > 0 && l.toPage(output) != "db2\n10.0.0.1:2379\n" {
			t.Errorf("%q prints %q", b.text, output)
		}
	}
}

// TestPagesInTheIndex: a page that nobody finds is none, and one begins with what its
// reader must know before the first command.
func TestPagesInTheIndex(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(handbook, "README.md"))
	must(t, err)
	files, err := filepath.Glob(filepath.Join(handbook, "*.md"))
	must(t, err)
	head := regexp.MustCompile(`^# .+\n\n- \*\*When:\*\* .+\n- \*\*Risks:\*\* .+\n- \*\*Undo:\*\* .+\n\n`)
	for _, file := range files {
		name := filepath.Base(file)
		text, err := os.ReadFile(file)
		must(t, err)
		if name == "README.md" {
			continue
		}
		if !strings.Contains(string(index), "("+name+")") {
			t.Errorf("the index does not name %s", name)
		}
		if !head.Match(text) {
			t.Errorf("%s does not begin with its title and the points When, Risks and Undo", name)
		}
	}
}
