// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// maxBatch bounds what one fsync is for, in bytes of entries.
	maxBatch = 1 << 20
	// retryAfter is the pause between attempts to write again after a failure.
	retryAfter = time.Second
)

var errGivenUp = errors.New("given up")

// request is an entry on its way to the disk.
type request struct {
	entry entry // as it will be read again
	text  []byte
	lazy  bool // may be lost by a power failure: nobody waits, and it asks for no fsync
	done  chan error
}

// request makes the entry what it will be after a restart, so that the state in memory
// and the one that is read again cannot differ, and shares nothing with the caller.
func (j *Journal) request(e entry) (*request, error) {
	if j.writer == nil {
		return nil, fmt.Errorf("journal %s: %w", j.dir, ErrReadOnly)
	}
	e.At = j.now()
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", j.dir, err)
	}
	r := &request{text: text, done: make(chan error, 1)}
	if err := json.Unmarshal(text, &r.entry); err != nil {
		return nil, fmt.Errorf("journal %s: %w", j.dir, err)
	}
	return r, nil
}

// put returns when the entry is on the disk and part of the state. Where ctx ends
// before, it may become so all the same.
func (j *Journal) put(ctx context.Context, e entry) error {
	err := j.wait(ctx.Done(), e)
	if errors.Is(err, errGivenUp) {
		return fmt.Errorf("journal %s: wait for the disk: %w", j.dir, ctx.Err())
	}
	return err
}

func (j *Journal) wait(giveUp <-chan struct{}, e entry) error {
	r, err := j.request(e)
	if err != nil {
		return err
	}
	closed := fmt.Errorf("journal %s: %w", j.dir, ErrClosed)
	select {
	case <-j.stop:
		return closed
	default:
	}
	select {
	case j.queue <- r:
	case <-giveUp:
		return errGivenUp
	case <-j.stop:
		return closed
	}
	select {
	case err := <-r.done:
		return err
	case <-giveUp:
		return errGivenUp
	case <-j.ended:
	}
	select { // it may have been the last one that was written
	case err := <-r.done:
		return err
	default:
		return closed
	}
}

// writer is the one goroutine that writes. Those who come while it waits for the disk
// share the next fsync.
type writer struct {
	j        *Journal
	disk     disk
	lock     *os.File
	maxBytes int64

	file     file
	number   int    // of the file
	sequence uint64 // of the last line
	head     int64  // size of the first line in bytes
	size     int64  // of what was written without an error
	patience int64  // size at which a rotation that failed is tried again
	broken   error
	failed   time.Time
	buffer   []byte
}

func (w *writer) loop() {
	defer close(w.j.ended)
	for {
		select {
		case r := <-w.j.queue:
			w.commit(w.gather(r))
			continue
		case <-w.j.stop:
		}
		for { // what was handed over before the end
			select {
			case r := <-w.j.queue:
				w.commit(w.gather(r))
			default:
				return
			}
		}
	}
}

func (w *writer) gather(first *request) []*request {
	batch := []*request{first}
	for size := len(first.text); size < maxBatch; {
		select {
		case r := <-w.j.queue:
			batch = append(batch, r)
			size += len(r.text)
		default:
			return batch
		}
	}
	return batch
}

// commit writes a batch, and makes it part of the state if that went well.
func (w *writer) commit(batch []*request) {
	err := w.ready()
	if err == nil {
		if err = w.write(batch); err != nil {
			err = w.fail(err)
		}
	}
	if err == nil {
		w.j.mu.Lock()
		first := w.sequence - uint64(len(batch)) + 1
		for i, r := range batch {
			_ = w.j.state.apply(first+uint64(i), &r.entry) // it fails for unknown entries only
		}
		w.j.mu.Unlock()
	}
	for _, r := range batch {
		r.done <- err
	}
	w.rotateWhenLarge()
}

func (w *writer) write(batch []*request) error {
	w.buffer = w.buffer[:0]
	sequence, durable := w.sequence, false
	for _, r := range batch {
		sequence++
		w.buffer = appendLine(w.buffer, sequence, r.text)
		durable = durable || !r.lazy
	}
	_, err := w.file.Write(w.buffer)
	if err == nil && durable {
		err = w.file.Sync()
	}
	if err != nil {
		_ = w.file.Truncate(w.size) // what cannot be cut off now is told from whole lines when it is read
		return err
	}
	w.sequence = sequence
	w.size += int64(len(w.buffer))
	return nil
}

// ready mends the journal after a failure. What the kernel has of the file is not to
// be trusted after a failed fsync, so a new file with the state takes its place.
func (w *writer) ready() error {
	if w.broken == nil {
		return nil
	}
	now := w.j.now()
	if passed := now.Sub(w.failed); passed >= 0 && passed < retryAfter {
		return w.broken
	}
	if err := w.rotate(); err != nil {
		return w.fail(err)
	}
	w.broken = nil
	w.publish()
	w.j.log.Info("journal can be written again", "file", fileName(w.number))
	return nil
}

// fail makes all writes fail until ready mends it.
func (w *writer) fail(err error) error {
	first := w.broken == nil
	w.broken = fmt.Errorf("journal %s cannot be written: %w", w.j.dir, err)
	w.failed = w.j.now()
	w.publish()
	if first {
		w.j.log.Error("journal cannot be written; nothing is done until it can", "dir", w.j.dir, "err", err)
	}
	return w.broken
}

func (w *writer) publish() {
	w.j.mu.Lock()
	defer w.j.mu.Unlock()
	w.j.broken = w.broken
}

func (w *writer) close() error {
	if w.file == nil {
		return nil
	}
	return errors.Join(w.file.Sync(), w.file.Close())
}
