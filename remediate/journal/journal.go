// SPDX-License-Identifier: Apache-2.0

// Package journal keeps what the remediator must not forget: its runs, the alerts it
// has accepted, pause and breakers, what it deleted and wrote, and the revision clock.
//
// It is a directory of its own with files of JSON lines, journal-NUMBER.jsonl, each
// of which begins with the complete state; the newest counts. A line carries a
// sequence number and a checksum, so that none can be missing, doubled or changed
// unnoticed. What a method has reported as done is on the disk.
package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/etcdops/etcdops/remediate"
)

// Errors that callers tell apart.
var (
	ErrLocked   = errors.New("another process holds it")
	ErrReadOnly = errors.New("it was opened for reading only")
	ErrClosed   = errors.New("it is closed")
)

// defaultMaxBytes is the size of a file after which the next one begins.
const defaultMaxBytes = 8 << 20

// Options of a journal.
type Options struct {
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
	MaxBytes int64            // of a file, before the next one begins; 0: 8 MiB
	// ReadOnly takes no lock and writes nothing: a look beside the process that
	// writes. Runs that go on stay so.
	ReadOnly bool

	disk func(*os.Root) disk // tests put one here that fails
}

// Journal is safe for concurrent use.
type Journal struct {
	dir    string
	log    *slog.Logger
	now    func() time.Time
	writer *writer // nil: reading only
	lock   *os.File
	root   *os.Root
	queue  chan *request
	stop   chan struct{} // closed by Close
	ended  chan struct{} // closed when the writer has ended
	once   sync.Once

	mu          sync.RWMutex // guards what follows
	state       *state       // only what is on the disk
	broken      error        // why nothing can be written at present
	interrupted []string     // ids of the runs that a crash ended
	offered     map[string]time.Time
}

var _ remediate.Ledger = (*Journal)(nil)

// Open opens the journal in dir, and makes it where there is none. Where another
// process has it, the error is ErrLocked. A damaged journal opens, and Fit tells.
func Open(dir string, o Options) (*Journal, error) {
	j := &Journal{
		dir: dir, log: o.Log, now: o.Now,
		queue: make(chan *request, 1024), stop: make(chan struct{}), ended: make(chan struct{}),
		offered: map[string]time.Time{},
	}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	if j.now == nil {
		j.now = time.Now
	}
	if o.disk == nil {
		o.disk = func(root *os.Root) disk { return folder{root} }
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	open := j.openToWrite
	if o.ReadOnly {
		open = j.openToRead
	}
	if err := open(o); err != nil {
		if j.writer != nil {
			_ = j.writer.close()
		}
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", dir, err), j.release())
	}
	return j, nil
}

// openToRead reads what is there; nothing is nothing known.
func (j *Journal) openToRead(o Options) error {
	close(j.ended)
	root, err := os.OpenRoot(j.dir)
	if errors.Is(err, os.ErrNotExist) {
		j.state = newState(j.now())
		return nil
	}
	if err != nil {
		return err
	}
	j.root = root
	if err := checkPrivate(j.root); err != nil {
		return err
	}
	l, err := load(o.disk(j.root), j.now())
	if err != nil {
		return err
	}
	j.state = l.state
	return nil
}

func (j *Journal) openToWrite(o Options) (err error) {
	if j.root, err = makePrivate(j.dir); err != nil {
		return err
	}
	if j.lock, err = takeLock(j.root); err != nil {
		return err
	}
	d := o.disk(j.root)
	l, err := load(d, j.now())
	if err != nil {
		return err
	}
	j.state = l.state
	j.writer = &writer{j: j, disk: d, lock: j.lock, maxBytes: o.MaxBytes}
	if err := j.writer.begin(l); err != nil {
		return err
	}
	if err := j.interrupt(); err != nil {
		return err
	}
	go j.writer.loop()
	return nil
}

// interrupt records the end of runs that an earlier process was at.
func (j *Journal) interrupt() error {
	j.interrupted = j.state.running()
	if len(j.interrupted) == 0 {
		return nil
	}
	r, err := j.request(entry{Interrupt: &interruption{Runs: j.interrupted}})
	if err != nil {
		return err
	}
	j.writer.commit([]*request{r})
	if err := <-r.done; err != nil {
		return fmt.Errorf("record interrupted runs: %w", err)
	}
	return nil
}

// Close writes what was handed over, and gives the lock back.
func (j *Journal) Close() error {
	err := error(nil)
	j.once.Do(func() {
		close(j.stop)
		<-j.ended
		if j.writer != nil {
			err = j.writer.close()
		}
		err = errors.Join(err, j.release())
	})
	return err
}

func (j *Journal) release() error {
	var errs []error
	if j.lock != nil {
		errs = append(errs, j.lock.Close())
	}
	if j.root != nil {
		errs = append(errs, j.root.Close())
	}
	return errors.Join(errs...)
}

// Fit says whether the journal can be relied upon. A damaged one stays unfit until a
// person moves its files away; one that cannot be written is fit again after the
// first write that succeeds.
func (j *Journal) Fit() error {
	select {
	case <-j.stop:
		return fmt.Errorf("journal %s: %w", j.dir, ErrClosed)
	default:
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.state.Fault != "" {
		return fmt.Errorf("journal %s is damaged: %s; plans only, until a person has looked and, with the program stopped, "+
			"moved all of its journal-*.jsonl files elsewhere: the new one then begins with one run for each policy", j.dir, j.state.Fault)
	}
	return j.broken
}
