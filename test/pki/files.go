// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"fmt"
	"os"
	"path/filepath"
)

// Write puts the pair into two files, each replaced atomically: the key, mode
// 0600, first. A reader that comes between the two finds a mismatch, as it
// would in earnest.
func (p Pair) Write(certFile, keyFile string) error {
	if err := WriteFile(keyFile, p.Key, 0o600); err != nil {
		return err
	}
	return WriteFile(certFile, p.Cert, 0o644)
}

// WriteFile replaces a file atomically: a reader finds the old content or the
// new, never a part. Missing directories are made.
func WriteFile(name string, data []byte, mode os.FileMode) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	file, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	if _, err := file.Write(data); err != nil {
		file.Close()
		return err
	}
	if err := file.Chmod(mode); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}
