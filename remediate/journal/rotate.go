// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

const (
	keepFiles   = 5  // beside the newest one
	keepDamaged = 50 // where a person is to look at them
	keepTorn    = 10

	tornPrefix = "journal.torn-"
	tornStamp  = "20060102T150405.000000000Z" // UTC
)

// begin goes on with the newest file where it is sound, or begins a new one: damage is
// left as it is, for a person to look at.
func (w *writer) begin(l *loaded) error {
	w.number, w.sequence = l.number, l.sequence
	if err := w.sweep(); err != nil {
		return err
	}
	if l.state.Fault != "" {
		w.j.log.Error("journal is damaged: plans only until a person has looked", "dir", w.j.dir, "err", l.state.Fault)
	}
	if !l.exists || l.found != "" {
		return w.rotate()
	}
	f, err := w.disk.appendTo(fileName(l.number))
	if err != nil {
		return err
	}
	w.file, w.size, w.head = f, l.size, l.head
	if l.torn != nil {
		if err := w.cut(l.torn); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return writeLock(w.lock, w.number)
}

// cut takes off a line that a crash or a full disk cut short: nobody was told that it
// is there. A copy is kept where there is room.
func (w *writer) cut(torn []byte) error {
	name := tornPrefix + w.j.now().UTC().Format(tornStamp)
	aside, err := w.disk.create(name)
	if err == nil {
		_, err = aside.Write(torn)
		err = errors.Join(err, aside.Sync(), aside.Close())
	}
	if err := errors.Join(w.file.Truncate(w.size), w.file.Sync()); err != nil {
		return fmt.Errorf("cut off the torn end of %s: %w", fileName(w.number), err)
	}
	if err != nil {
		w.j.log.Warn("the end of the journal was cut short; it is cut off, and could not be kept", "file", fileName(w.number), "bytes", len(torn), "err", err)
		return nil
	}
	w.j.log.Warn("the end of the journal was cut short; it is set aside", "file", fileName(w.number), "bytes", len(torn), "aside", name)
	return nil
}

// sweep removes what earlier processes left half done, and all but the newest torn ends.
func (w *writer) sweep() error {
	names, err := w.disk.names()
	if err != nil {
		return err
	}
	var torn []string
	for _, name := range names {
		switch {
		case strings.HasPrefix(name, tornPrefix):
			torn = append(torn, name)
		case strings.HasPrefix(name, prefix) && strings.HasSuffix(name, suffix+unready):
			w.remove(name)
		}
	}
	slices.Sort(torn)
	for _, name := range torn[:max(len(torn)-keepTorn, 0)] {
		w.remove(name)
	}
	return nil
}

func (w *writer) remove(name string) {
	if err := w.disk.remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.j.log.Warn("an old file of the journal cannot be removed", "file", name, "err", err)
	}
}

// rotateWhenLarge begins the next file. Where that fails the present one goes on.
func (w *writer) rotateWhenLarge() {
	if w.broken != nil || w.size <= max(w.maxBytes, 2*w.head, w.patience) {
		return
	}
	err := w.rotate()
	if err != nil && w.broken == nil {
		w.patience = w.size + w.maxBytes/8
		w.j.log.Warn("the journal's next file cannot be begun; the present one goes on", "file", fileName(w.number), "err", err)
	}
}

// rotate begins a file with the complete state. It counts from its renaming on: a crash
// before leaves the one before as it was, which tells the same.
func (w *writer) rotate() error {
	w.j.mu.RLock()
	text, err := json.Marshal(entry{At: w.j.now(), State: w.j.state})
	w.j.mu.RUnlock()
	if err != nil {
		return err
	}
	line := appendLine(nil, w.sequence+1, text)
	if len(line) >= maxLine {
		return fmt.Errorf("the state has %d bytes, more than a line may", len(line))
	}
	name := fileName(w.number + 1)
	f, err := w.place(name, line)
	if err != nil {
		return err
	}
	if w.file != nil {
		_ = w.file.Close()
	}
	w.file, w.number, w.sequence = f, w.number+1, w.sequence+1
	w.head, w.size, w.patience = int64(len(line)), int64(len(line)), 0
	if err := w.disk.sync(); err != nil { // after a crash it may be the old file that is there
		return w.fail(err)
	}
	if err := writeLock(w.lock, w.number); err != nil {
		w.j.log.Warn("the journal's lock file cannot be written", "err", err)
	}
	w.drop()
	return nil
}

// place makes a file that is there whole or not at all.
func (w *writer) place(name string, line []byte) (file, error) {
	temporary := name + unready
	if err := w.disk.remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := w.disk.create(temporary)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(line)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = w.disk.rename(temporary, name)
	}
	if err != nil {
		_ = f.Close()
		_ = w.disk.remove(temporary)
		return nil, err
	}
	return f, nil
}

// drop removes files that are too old to be looked at.
func (w *writer) drop() {
	names, err := w.disk.names()
	if err != nil {
		return
	}
	keep := keepFiles
	if w.j.state.Fault != "" {
		keep = keepDamaged
	}
	numbers := journalNumbers(names)
	for _, n := range numbers[:max(len(numbers)-1-keep, 0)] {
		w.remove(fileName(n))
	}
}
