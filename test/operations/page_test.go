// SPDX-License-Identifier: Apache-2.0

//go:build linux

package operations

import (
	"fmt"
	"regexp"
	"strings"
)

// page is one page of the handbook.
type page struct {
	name     string
	versions []string // of etcd
	blocks   []*block
}

// block is a piece of a page that is run or written, or has a reason not to be.
type block struct {
	line   int // of the page
	text   string
	hosts  []string // empty: the session's own machine
	hidden bool     // from the reader
	fails  bool
	file   string // to write it to
	reason string // not to run it
	want   []string
	asked  bool // an output follows it
}

func (b *block) runs() bool { return b.reason == "" }

var (
	fence     = regexp.MustCompile("^( *)(```+|~~~+) *([a-z]*) *$")
	directive = regexp.MustCompile(`^ *<!-- (fails|etcd|file:|not run:)(.*)-->$`)
	hidden    = regexp.MustCompile(`^<!-- lab *$`)
	onHosts   = regexp.MustCompile(`^# on .*\bdb\d`)
	hostName  = regexp.MustCompile(`\bdb\d\b`)
	fileName  = regexp.MustCompile(`^(/\S+)(?: on (db\d))?$`)
)

// parser goes through a page line by line.
type parser struct {
	page  *page
	lines []string
	at    int
	next  block // what the directives before a block say of it
	told  bool  // there was such a directive
	last  *block
}

// parse reads a page. It refuses what it does not understand.
func parse(name, text string) (*page, error) {
	p := &parser{page: &page{name: name}, lines: strings.Split(text, "\n")}
	for ; p.at < len(p.lines); p.at++ {
		if err := p.line(p.lines[p.at]); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, p.at+1, err)
		}
	}
	if p.told {
		return nil, fmt.Errorf("%s: a directive has no block", name)
	}
	if len(p.page.versions) == 0 {
		p.page.versions = []string{defaultVersion}
	}
	return p.page, nil
}

func (p *parser) line(line string) error {
	switch {
	case strings.TrimSpace(line) == "":
		return nil
	case hidden.MatchString(line):
		begin := p.at + 1
		if err := p.skipTo(func(l string) bool { return l == "-->" }); err != nil {
			return err
		}
		p.add(block{line: begin, text: p.between(begin, ""), hidden: true})
		return nil
	case directive.MatchString(line):
		return p.direct(directive.FindStringSubmatch(line))
	case fence.MatchString(line):
		return p.fence(fence.FindStringSubmatch(line))
	case p.told:
		return fmt.Errorf("a directive, and then no block")
	case strings.HasPrefix(strings.TrimSpace(line), "```"):
		return fmt.Errorf("not a fence that is understood: %s", line)
	case strings.HasPrefix(strings.TrimSpace(line), "<!--"):
		return fmt.Errorf("not a directive that is understood: %s", line)
	}
	return nil
}

// direct takes a directive.
func (p *parser) direct(found []string) error {
	what, rest := found[1], strings.TrimSpace(found[2])
	if what == "etcd" {
		p.page.versions = strings.Fields(rest)
		return nil
	}
	p.told = true
	switch what {
	case "fails":
		p.next.fails = true
	case "not run:":
		if rest == "" {
			return fmt.Errorf("not run, and no reason")
		}
		p.next.reason = rest
	case "file:":
		names := fileName.FindStringSubmatch(rest)
		if names == nil {
			return fmt.Errorf("no file name: %s", rest)
		}
		if p.next.file = names[1]; names[2] != "" {
			p.next.hosts = []string{names[2]}
		}
	}
	return nil
}

// fence takes a fenced block.
func (p *parser) fence(found []string) error {
	indent, mark, language := found[1], found[2], found[3]
	begin := p.at + 1
	if err := p.skipTo(func(l string) bool { return strings.TrimSpace(l) == mark }); err != nil {
		return err
	}
	b := p.next
	b.line, b.text = begin, p.between(begin, indent)
	switch {
	case language == "text" && !p.told:
		if p.last == nil || p.last.asked {
			return fmt.Errorf("output of nothing")
		}
		p.last.asked, p.last.want = true, strings.Split(strings.TrimRight(b.text, "\n"), "\n")
		return nil
	case b.reason != "", b.file != "":
	case language != "sh":
		return fmt.Errorf("block %q is neither run, nor a file, nor output, nor `not run`", language)
	}
	if first, _, _ := strings.Cut(b.text, "\n"); b.file == "" && onHosts.MatchString(first) {
		b.hosts = hostName.FindAllString(first, -1)
	}
	p.add(b)
	return nil
}

func (p *parser) add(b block) {
	p.last = &b
	p.page.blocks = append(p.page.blocks, &b)
	p.next, p.told = block{}, false
}

// skipTo goes on to the line that ends a block.
func (p *parser) skipTo(end func(string) bool) error {
	for begin := p.at; ; {
		if p.at++; p.at >= len(p.lines) {
			p.at = begin
			return fmt.Errorf("it does not end")
		}
		if end(p.lines[p.at]) {
			return nil
		}
	}
}

// between are the lines from one on to the present one.
func (p *parser) between(begin int, indent string) string {
	var text strings.Builder
	for _, line := range p.lines[begin:p.at] {
		text.WriteString(strings.TrimPrefix(line, indent) + "\n")
	}
	return text.String()
}

// counts says what became of a page's blocks.
type counts struct{ run, outputs, lab, notRun int }

func (c *counts) add(o counts) {
	c.run, c.outputs, c.lab, c.notRun = c.run+o.run, c.outputs+o.outputs, c.lab+o.lab, c.notRun+o.notRun
}

func (c counts) String() string {
	return fmt.Sprintf("%d blocks run, %d with their output compared, %d not run; %d of the lab's own", c.run, c.outputs, c.notRun, c.lab)
}

func (p *page) counts() (c counts) {
	for _, b := range p.blocks {
		switch {
		case !b.runs():
			c.notRun++
		case b.hidden:
			c.lab++
		default:
			c.run++
		}
		if b.runs() && b.asked {
			c.outputs++
		}
	}
	return c
}
