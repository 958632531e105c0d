// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Drill is the result of a restore drill, as etcd_restore_drill writes it to its
// result file.
type Drill struct {
	Success  bool      `json:"success"`
	Time     time.Time `json:"time"`               // when the drill ended
	Store    string    `json:"store,omitempty"`    // the store it took the snapshot from
	Snapshot string    `json:"snapshot,omitempty"` // the file's name
	Revision int64     `json:"revision,omitempty"` // of the restored key space
	Keys     int64     `json:"keys,omitempty"`     // live ones in it
	Seconds  float64   `json:"seconds,omitempty"`  // how long it took
	Reason   string    `json:"reason,omitempty"`   // of a failure, for a person
}

// maxDrill bounds the result file in bytes.
const maxDrill = 64 << 10

// ReadDrill reads a result file. Where none was written yet the error is
// fs.ErrNotExist.
func ReadDrill(name string) (Drill, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return Drill{}, fmt.Errorf("read drill result: %w", err)
	}
	defer file.Close()
	switch info, err := file.Stat(); {
	case err != nil:
		return Drill{}, fmt.Errorf("read drill result: %w", err)
	case !info.Mode().IsRegular():
		return Drill{}, fmt.Errorf("drill result %s is not a regular file", name)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxDrill+1))
	if err != nil {
		return Drill{}, fmt.Errorf("read drill result: %w", err)
	}
	if len(text) > maxDrill {
		return Drill{}, fmt.Errorf("drill result %s is longer than %d bytes: it was not written by etcd_restore_drill", name, maxDrill)
	}
	var d Drill
	if err := json.Unmarshal(text, &d); err != nil {
		return Drill{}, fmt.Errorf("drill result %s is no result of etcd_restore_drill: %w", name, err)
	}
	if d.Time.IsZero() {
		return Drill{}, fmt.Errorf("drill result %s holds no time", name)
	}
	return d, nil
}

// WriteDrill writes a result file, whole or not at all.
func WriteDrill(name string, d Drill) error {
	text, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("write drill result: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(name), ".drill-*")
	if err != nil {
		return fmt.Errorf("write drill result: %w", err)
	}
	_, err = file.Write(append(text, '\n'))
	// The exporter runs as another user, and there is no secret in it.
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write drill result: %w", err), os.Remove(file.Name()))
	}
	return nil
}
