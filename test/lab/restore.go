// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/test/etcdbin"
)

// Restore puts a snapshot in the place of every member's data, as an operator would who
// does not raise the revision, and waits until the lab is ready. The ids stay the same.
func (l *Lab) Restore(ctx context.Context, snapshot string) error {
	if l.options.Version == Embedded {
		return errors.New("restore: choose a version")
	}
	utl, err := etcdbin.Path(ctx, l.options.Version, etcdbin.Etcdutl)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	var cluster []string
	for _, m := range l.Members() {
		cluster = append(cluster, m.Name()+"="+m.PeerURL())
		if err := m.Stop(ctx); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	for _, m := range l.Members() {
		if err := os.RemoveAll(m.DataDir()); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		cmd := exec.CommandContext(ctx, utl, "snapshot", "restore", snapshot, "--name="+m.Name(), "--data-dir="+m.DataDir(),
			"--initial-cluster="+strings.Join(cluster, ","), "--initial-advertise-peer-urls="+m.PeerURL(), "--initial-cluster-token="+l.token)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("restore %s: %w\n%s", m.Name(), err, output)
		}
	}
	for _, m := range slices.Backward(l.Members()) {
		if err := m.Restart(ctx); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
	}
	return l.WaitReady(ctx)
}
