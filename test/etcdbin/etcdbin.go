// SPDX-License-Identifier: Apache-2.0

// Package etcdbin provides etcd's own programs in the versions that the tests
// want. Each is built (or, for 3.4, unpacked from Debian's package) when it is
// first asked for, and kept in the repository's git-ignored .tools directory.
package etcdbin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The programs of an etcd release.
const (
	Etcd    = "etcd"
	Etcdctl = "etcdctl"
	Etcdutl = "etcdutl"
)

// SkewSuffix marks a version whose wall clock runs off by SkewEnv.
const SkewSuffix = "-skew"

// SkewEnv names the variable that a program of a "-skew" version adds, in
// seconds (fractions and negative values allowed), to its wall clock.
const SkewEnv = "GO_WALL_SKEW_SECONDS"

// toolsEnv overrides where programs are kept.
const toolsEnv = "ETCDOPS_TOOLS"

var versionForm = regexp.MustCompile(`^3\.\d{1,3}\.\d{1,3}(` + SkewSuffix + `)?$`)

const modulePath = "github.com/etcdops/etcdops"

// Versions lists the versions that the test matrix covers, oldest first.
func Versions() []string {
	return []string{"3.4.23", "3.5.35", "3.6.16", "3.7.3"}
}

// Path returns the file name of a program of the given version ("3.6.16", or
// "3.6.16-skew" for one with a movable wall clock) and makes it first where it
// is missing. Several processes may ask for the same program at one time: one
// makes it, the others wait.
func Path(ctx context.Context, version, program string) (string, error) {
	if err := Check(version, program); err != nil {
		return "", err
	}
	tools, err := Dir()
	if err != nil {
		return "", err
	}
	target := filepath.Join(tools, "etcd", version, program)
	if isExecutable(target) {
		return target, nil
	}
	unlock, err := lock(ctx, filepath.Join(tools, "etcd", "."+version+".lock"))
	if err != nil {
		return "", fmt.Errorf("wait for etcd %s: %w", version, err)
	}
	defer unlock()
	if isExecutable(target) { // another process made it meanwhile
		return target, nil
	}
	if err := provide(ctx, tools, version, program, target); err != nil {
		return "", fmt.Errorf("provide %s %s: %w", program, version, err)
	}
	return target, nil
}

// provide makes a program in a temporary directory beside its target, so that
// the rename that publishes it is atomic.
func provide(ctx context.Context, tools, version, program, target string) error {
	work, err := os.MkdirTemp(filepath.Join(tools, "etcd"), ".work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var made string
	if strings.HasPrefix(version, "3.4.") {
		made, err = unpack(ctx, work, version, program)
	} else {
		made, err = build(ctx, work, version, program)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.Rename(made, target)
}

// Dir is the directory that keeps tools: $ETCDOPS_TOOLS, else .tools at the
// root of the repository that holds the working directory or this program.
func Dir() (string, error) {
	if dir := os.Getenv(toolsEnv); dir != "" {
		return filepath.Abs(dir)
	}
	working, err := os.Getwd()
	if err != nil {
		return "", err
	}
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	for _, start := range []string{working, filepath.Dir(program)} {
		for dir := start; ; dir = filepath.Dir(dir) {
			if isRoot(dir) {
				return filepath.Join(dir, ".tools"), nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("no go.mod of %s above %s; set %s", modulePath, working, toolsEnv)
}

// isRoot tells whether dir holds the go.mod of the parent module.
func isRoot(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return false
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(first) == "module "+modulePath
}

// Check refuses a version or a program that Path could never make.
func Check(version, program string) error {
	switch program {
	case Etcd, Etcdctl, Etcdutl:
	default:
		return fmt.Errorf("unknown program %q (want etcd, etcdctl or etcdutl)", program)
	}
	old := strings.HasPrefix(version, "3.4.")
	switch {
	case !versionForm.MatchString(version):
		return fmt.Errorf("bad etcd version %q (want, for example, 3.6.16)", version)
	case old && strings.HasSuffix(version, SkewSuffix):
		return errors.New("etcd 3.4 comes from a package and has no skewed variant")
	case old && program == Etcdutl:
		return errors.New("etcd 3.4 has no etcdutl")
	}
	return nil
}

func isExecutable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o100 != 0
}
