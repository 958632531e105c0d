// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// packed are the files of each package, with their modes.
var packed = map[string][]string{
	"etcd_exporter": {
		"drwx------ /etc/etcdops/etcd_exporter",
		"drwxr-xr-x /etc/etcdops",
		"-rw-r--r-- /etc/etcdops/etcd_exporter.env",
		"-rw-r--r-- /etc/etcdops/etcd_exporter.yml",
		"-rwxr-xr-x /usr/bin/etcd_exporter",
		"-rw-r--r-- /usr/lib/systemd/system/etcd_exporter.service",
		"-rw-r--r-- /usr/lib/systemd/system/etcd_exporter.socket",
		"-rw-r--r-- /usr/share/doc/etcd-exporter/copyright",
		"-rw-r--r-- /usr/share/doc/etcd-exporter/sbom.cdx.json",
	},
	"etcd_remediator": {
		"drwx------ /etc/etcdops/etcd_remediator",
		"drwxr-xr-x /etc/etcdops",
		"-rw-r--r-- /etc/etcdops/etcd_remediator.env",
		"-rw-r--r-- /etc/etcdops/etcd_remediator.yml",
		"-rwxr-xr-x /usr/bin/etcd_remediator",
		"-rw-r--r-- /usr/lib/systemd/system/etcd_remediator.service",
		"-rw-r--r-- /usr/share/doc/etcd-remediator/copyright",
		"-rw-r--r-- /usr/share/doc/etcd-remediator/sbom.cdx.json",
	},
	"etcd_restore_drill": {
		"drwxr-xr-x /etc/etcdops",
		"-rw-r--r-- /etc/etcdops/etcd_restore_drill.yml",
		"-rwxr-xr-x /usr/bin/etcd_restore_drill",
		"-rw-r--r-- /usr/lib/systemd/system/etcd_restore_drill.service",
		"-rw-r--r-- /usr/lib/systemd/system/etcd_restore_drill.timer",
		"-rw-r--r-- /usr/lib/sysusers.d/etcd_restore_drill.conf",
		"-rw-r--r-- /usr/share/doc/etcd-restore-drill/copyright",
		"-rw-r--r-- /usr/share/doc/etcd-restore-drill/sbom.cdx.json",
	},
}

// pack makes the packages of a program that make build has made, as version.
func pack(t *testing.T, version, umask, name string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `umask "$0"; exec "$@"`, umask,
		filepath.Join(root, "tools", "package.sh"), runtime.GOARCH, filepath.Dir(program(t, name)), dir, name)
	cmd.Env = append(os.Environ(), "NFPM="+tool(t, "nfpm"), "CYCLONEDX_GOMOD="+tool(t, "cyclonedx-gomod"), "VERSION="+version, "SOURCE_DATE_EPOCH=1700000000")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("package.sh %s: %v\n%s", name, err, said)
	}
	return dir
}

// one is the one file of a directory that a pattern names.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("%s names %v", pattern, files)
	}
	return files[0]
}

// TestPackages: each holds what it must, owned by root, and no more; configuration
// survives an upgrade; and the bill of materials names what the program links.
func TestPackages(t *testing.T) {
	for name, want := range packed {
		t.Run(name, func(t *testing.T) {
			want, dir := slices.Sorted(slices.Values(want)), pack(t, "1.2.0", "022", name)
			deb := one(t, dir, "*.deb")
			t.Run("deb", func(t *testing.T) {
				if got := listing(t, command(t, host(t, "dpkg-deb"), "--contents", deb), "./etc/ ./usr/ ./usr/bin/ ./usr/share/ ./usr/share/doc/ ./usr/lib/ ./usr/lib/systemd/ ./usr/lib/systemd/system/ ./usr/lib/sysusers.d/ ./usr/share/doc/"+strings.ReplaceAll(name, "_", "-")+"/"); !slices.Equal(got, want) {
					t.Errorf("it holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				var kept []string
				for _, line := range want {
					if file, ok := strings.CutPrefix(line, "-rw-r--r-- /etc/"); ok {
						kept = append(kept, "/etc/"+file)
					}
				}
				if got := strings.Fields(command(t, host(t, "dpkg-deb"), "--info", deb, "conffiles")); !slices.Equal(got, kept) {
					t.Errorf("the conffiles are %v, want %v", got, kept)
				}
			})
			t.Run("rpm", func(t *testing.T) {
				rpm, file := host(t, "rpm"), one(t, dir, "*.rpm")
				if got := listing(t, command(t, rpm, "--query", "--package", "--list", "--verbose", file), ""); !slices.Equal(got, slices.Sorted(slices.Values(packed[name]))) {
					t.Errorf("it holds\n%s", strings.Join(got, "\n"))
				}
				if got := command(t, rpm, "--query", "--package", "--queryformat", "%{version} %{buildhost} %{buildtime}", file); got != "1.2.0 localhost 1700000000" {
					t.Errorf("version, host and time are %s", got)
				}
				for line := range strings.SplitSeq(strings.TrimSpace(command(t, rpm, "--query", "--package", "--queryformat", "[%{filenames} %{fileflags:fflags}\n]", file)), "\n") {
					// c: configuration; n: the changed one stays.
					if file, flags, _ := strings.Cut(line, " "); regexp.MustCompile(`^/etc/.+\.(yml|env)$`).MatchString(file) != (flags == "cn") {
						t.Errorf("%s has the flags %q", file, flags)
					}
				}
			})
			var bill struct {
				Components []struct{ Name string }
				Metadata   struct{ Component struct{ Version string } }
			}
			text, err := os.ReadFile(one(t, dir, "*.cdx.json"))
			must(t, err, json.Unmarshal(text, &bill))
			if bill.Metadata.Component.Version != "1.2.0" || len(bill.Components) < 20 || !bytes.Contains(text, []byte(`"go.etcd.io/etcd/client/v3"`)) && name != "etcd_restore_drill" {
				t.Errorf("the bill is of version %s and has %d components", bill.Metadata.Component.Version, len(bill.Components))
			}
		})
	}
}

// listing makes lines "MODE FILE" of what dpkg-deb and rpm print, without the
// directories above, which dpkg-deb needs, and checks that root owns all.
func listing(t *testing.T, printed, without string) (lines []string) {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSpace(printed), "\n") {
		words := strings.Fields(line)
		file := words[len(words)-1]
		if !regexp.MustCompile(`root[/ ]+root`).MatchString(line) {
			t.Errorf("not root's: %s", line)
		}
		if slices.Contains(strings.Fields(without), file) {
			continue
		}
		lines = append(lines, words[0]+" "+strings.TrimSuffix(strings.TrimPrefix(file, "."), "/"))
	}
	slices.Sort(lines)
	return lines
}

// TestPackagesTwice: equal programs give equal packages, in whatever directory, hour
// and umask; make reproducible shows the same of the programs.
func TestPackagesTwice(t *testing.T) {
	first, second := pack(t, "1.2.0", "022", "etcd_exporter"), pack(t, "1.2.0", "077", "etcd_exporter")
	for _, pattern := range []string{"*.deb", "*.rpm", "*.cdx.json"} {
		a, err := os.ReadFile(one(t, first, pattern))
		must(t, err)
		b, err := os.ReadFile(one(t, second, pattern))
		must(t, err)
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", pattern)
		}
	}
}

// TestVersions: dpkg sorts what git describe says as we do.
func TestVersions(t *testing.T) {
	dpkg := host(t, "dpkg")
	var versions []string
	for _, described := range []string{"40db20e", "1.2.0-rc.1", "1.2.0-rc.1-3-g40db20e", "1.2.0", "1.2.0-5-g40db20e", "1.2.0-5-g40db20e-dirty", "1.2.1"} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(root, "tools", "package.sh"), "version")
		cmd.Env = append(os.Environ(), "VERSION="+described, "SOURCE_DATE_EPOCH=1700000000")
		version, err := cmd.Output()
		must(t, err)
		versions = append(versions, strings.TrimSpace(string(version)))
	}
	for i := range versions[1:] {
		command(t, dpkg, "--compare-versions", versions[i], "lt", versions[i+1])
	}
}

// TestVersion: a program knows the commit that it was made of.
func TestVersion(t *testing.T) {
	git := host(t, "git")
	for name := range packed {
		said := command(t, program(t, name), "--version")
		found := regexp.MustCompile(`version (\S+) \(branch: \S*, revision: ([0-9a-f]{40})(?:-\w+)?\)`).FindStringSubmatch(said)
		if found == nil {
			t.Errorf("%s says\n%s", name, said)
			continue
		}
		command(t, git, "cat-file", "-e", found[2]+"^{commit}")
		if version := strings.TrimSuffix(found[1], "-dirty"); !strings.Contains(version, ".") && !strings.HasPrefix(found[2], version) {
			t.Errorf("%s is version %s of revision %s", name, version, found[2])
		}
	}
}

// TestInstall: dpkg installs into an empty root. The drill has its user; what a person
// changed in /etc survives an upgrade and a removal, and goes with a purge.
func TestInstall(t *testing.T) {
	dpkg, name := host(t, "dpkg"), "etcd_restore_drill"
	host(t, "systemd-sysusers")
	if os.Geteuid() != 0 {
		t.Skip("dpkg --root is root's")
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "var/lib/dpkg/updates"), 0o700), os.MkdirAll(filepath.Join(dir, "var/lib/dpkg/info"), 0o700),
		os.WriteFile(filepath.Join(dir, "var/lib/dpkg/status"), nil, 0o600), os.MkdirAll(filepath.Join(dir, "etc"), 0o700))
	do := func(args ...string) {
		t.Helper()
		// Scripts run outside, with DPKG_ROOT: there is no shell in there.
		command(t, dpkg, append([]string{"--root=" + dir, "--force-script-chrootless", "--force-architecture"}, args...)...)
	}
	config := filepath.Join(dir, "etc/etcdops/etcd_restore_drill.yml")
	do("--install", one(t, pack(t, "1.2.0", "022", name), "*.deb"))
	users, err := os.ReadFile(filepath.Join(dir, "etc/passwd"))
	must(t, err)
	groups, err := os.ReadFile(filepath.Join(dir, "etc/group"))
	must(t, err)
	if !bytes.Contains(users, []byte("etcd-restore-drill:")) || !regexp.MustCompile(`(?m)^etcd-backup:.*:etcd-restore-drill$`).Match(groups) {
		t.Errorf("the users are\n%s\nand the groups\n%s", users, groups)
	}
	if said := command(t, filepath.Join(dir, "usr/bin", name), "--version"); !strings.Contains(said, name) {
		t.Errorf("the installed program says %s", said)
	}
	must(t, os.WriteFile(config, []byte("# mine\n"), 0o600))
	do("--install", one(t, pack(t, "1.2.1", "022", name), "*.deb"))
	do("--remove", "etcd-restore-drill")
	if text, err := os.ReadFile(config); err != nil || string(text) != "# mine\n" {
		t.Errorf("after an upgrade and a removal the configuration is %q, %v", text, err)
	}
	do("--purge", "etcd-restore-drill")
	if files, _ := filepath.Glob(filepath.Join(dir, "etc/etcdops*")); len(files) > 0 {
		t.Errorf("after a purge there are %v", files)
	}
}
