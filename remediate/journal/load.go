// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxLine   = 64 << 20 // bytes; the first line of a file holds the whole state
	maxNumber = 1 << 40  // of a file
	prefix    = "journal-"
	suffix    = ".jsonl"
	unready   = ".new" // a file that is being written
)

func fileName(number int) string { return prefix + strconv.Itoa(number) + suffix }

// loaded is what the files tell.
type loaded struct {
	state    *state
	sequence uint64 // of the last line
	number   int    // of the newest file, or of one that was there; 0: none ever
	exists   bool   // the newest file is there
	head     int64  // size of its first line in bytes
	size     int64  // of its sound part
	torn     []byte // what follows that: a line that a crash cut short
	found    string // damage of these very files
}

// load reads the newest file. Where its first line, with the state, is damaged, it
// reads older ones before it.
func load(d disk, now time.Time) (*loaded, error) {
	l := &loaded{state: newState(now)}
	noted := notedNumber(d) // before the list, lest a rotation come between
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	numbers := journalNumbers(names)
	l.number = noted
	if len(numbers) == 0 {
		return l, nil
	}
	newest := numbers[len(numbers)-1]
	l.exists = newest >= noted
	l.number = max(newest, noted)
	start := len(numbers) - 1
	for ; start > 0; start-- {
		if ok, err := beginsSound(d, numbers[start]); err != nil || ok {
			break
		}
	}
	for _, n := range numbers[start:] {
		if err := l.read(d, n, n == newest); err != nil {
			return nil, fmt.Errorf("read %s: %w", fileName(n), err)
		}
	}
	if !l.exists {
		l.fault("%s was moved away, and %s does not tell what came after it", fileName(noted), fileName(newest))
	}
	if l.state.Fault == "" {
		l.state.Fault = l.found
	}
	return l, nil
}

func notedNumber(d disk) int {
	f, err := d.open(lockName)
	if err != nil {
		return 0
	}
	defer f.Close()
	_, number := readLock(f)
	return number
}

// journalNumbers are the numbers of the journal's files in order.
func journalNumbers(names []string) []int {
	var all []int
	for _, name := range names {
		text, ok := strings.CutPrefix(name, prefix)
		text, end := strings.CutSuffix(text, suffix)
		if n, err := strconv.Atoi(text); ok && end && err == nil && n > 0 && n <= maxNumber && fileName(n) == name {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}

// scan gives lines with their ends.
func scan(r io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	s.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := bytes.IndexByte(data, '\n'); i >= 0 {
			return i + 1, data[:i+1], nil
		}
		if atEOF && len(data) > 0 {
			return len(data), data, nil
		}
		return 0, nil, nil
	})
	return s
}

// beginsSound says whether the file's first line is a state that can be read.
func beginsSound(d disk, number int) (bool, error) {
	f, err := d.open(fileName(number))
	if err != nil {
		return false, err
	}
	defer f.Close()
	s := scan(f)
	if !s.Scan() {
		return false, nil
	}
	line, whole := bytes.CutSuffix(s.Bytes(), []byte("\n"))
	_, e, err := parseLine(line)
	return whole && err == nil && e.State != nil, nil
}

// read takes in one file.
func (l *loaded) read(d disk, number int, newest bool) error {
	f, err := d.open(fileName(number))
	if err != nil {
		return err
	}
	defer f.Close()
	l.size = 0
	return l.lines(f, fileName(number), newest)
}

func (l *loaded) lines(r io.Reader, name string, newest bool) error {
	s := scan(r)
	n := 1
	for ; s.Scan(); n++ {
		line, whole := bytes.CutSuffix(s.Bytes(), []byte("\n"))
		if !whole && newest && n > 1 && !damagedEnd(line) {
			l.torn = bytes.Clone(line)
			return nil
		}
		if !whole {
			l.fault("%s line %d: its end is missing", name, n)
		}
		l.take(name, n, line)
		l.size += int64(len(s.Bytes()))
		if n == 1 {
			l.head = l.size
		}
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		l.fault("%s line %d: it is longer than %d bytes", name, n, maxLine)
	case err != nil:
		return err
	case n == 1:
		l.fault("%s is empty", name)
	}
	return nil
}

// damagedEnd tells a whole line whose end was changed from one that a crash cut short.
func damagedEnd(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	_, _, err := parseLine(line[:len(line)-1])
	return err == nil
}

// take takes in one line. After damage it goes on with what can be read.
func (l *loaded) take(name string, n int, line []byte) {
	sequence, e, err := parseLine(line)
	if err == nil && n == 1 && e.State == nil {
		err = errors.New("it does not hold the state, which begins each file")
	}
	if err != nil {
		l.fault("%s line %d: %w", name, n, err)
		return
	}
	switch {
	case l.sequence != 0 && sequence <= l.sequence:
		l.fault("%s line %d: number %d comes after %d", name, n, sequence, l.sequence)
		return
	case l.sequence != 0 && sequence != l.sequence+1:
		l.fault("%s line %d: numbers %d to %d are missing before it", name, n, l.sequence+1, sequence-1)
	}
	l.sequence = sequence
	if err := l.state.apply(sequence, &e); err != nil {
		l.fault("%s line %d: %w", name, n, err)
	}
}

// fault notes the first damage: what follows may come of it.
func (l *loaded) fault(f string, args ...any) {
	if l.found == "" {
		l.found = fmt.Errorf(f, args...).Error()
	}
}
