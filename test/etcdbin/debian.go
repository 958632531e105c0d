// SPDX-License-Identifier: Apache-2.0

package etcdbin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// unpack takes a program of etcd 3.4, which predates the modules that later
// ones are built from, out of Debian's package. Nothing is installed.
func unpack(ctx context.Context, work, version, program string) (string, error) {
	name := "etcd-client"
	if program == Etcd {
		name = "etcd-server"
	}
	// As root apt drops privileges and then could not write here.
	download := []string{"apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name}
	if err := run(ctx, work, download...); err != nil {
		// Often the package lists are merely missing or too old.
		if update := run(ctx, work, "apt-get", "-q", "update"); update != nil {
			return "", fmt.Errorf("%w (then %w)", err, update)
		}
		if err := run(ctx, work, download...); err != nil {
			return "", err
		}
	}
	found, err := filepath.Glob(filepath.Join(work, name+"_*.deb"))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("found %d packages of %s, want 1", len(found), name)
	}
	if base := filepath.Base(found[0]); !strings.HasPrefix(base, name+"_"+version+"-") {
		return "", fmt.Errorf("this distribution offers %s, not %s", base, version)
	}
	root := filepath.Join(work, "root")
	if err := run(ctx, work, "dpkg", "-x", found[0], root); err != nil {
		return "", err
	}
	target := filepath.Join(root, "usr", "bin", program)
	if _, err := os.Stat(target); err != nil {
		return "", fmt.Errorf("package %s: %w", name, err)
	}
	return target, nil
}
