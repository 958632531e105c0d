// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/etcdops/etcdops/test/stack"
)

// group is that of the images' user.
const group = 65532

// TestImage: each image, built from nothing but the program, starts with what compose
// gives it: as its own user, with a token that is its group's and a journal of its own.
func TestImage(t *testing.T) {
	buildah := host(t, "buildah")
	if os.Geteuid() != 0 {
		t.Skip("buildah without a user namespace is root's")
	}
	file, dir := checkout(t), t.TempDir()
	base := filepath.Dir(file)
	must(t, os.Chown(filepath.Join(base, "etcdops", "bearer.token"), 0, group), os.Chmod(filepath.Join(base, "etcdops", "bearer.token"), 0o640),
		os.Chown(filepath.Join(base, "journal"), group, group))
	store := []string{buildah, "--storage-driver=vfs", "--root=" + filepath.Join(dir, "root"), "--runroot=" + filepath.Join(dir, "run")}
	do := func(args ...string) string {
		t.Helper()
		args = append(slices.Clone(store), args...)
		output, err := exec.CommandContext(t.Context(), args[0], args[1:]...).Output()
		if failed, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%q: %v\n%s", args, err, failed.Stderr)
		}
		must(t, err)
		return strings.TrimSpace(string(output))
	}
	for name, service := range project(t, file).Services {
		if service.Build == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			program(t, name)
			args := []string{"bud", "--quiet", "--isolation=chroot", "--target=prebuilt", "--build-arg=BASE=scratch", "--tag=localhost/" + name}
			for arg, value := range service.Build.Args {
				args = append(args, "--build-arg="+arg+"="+*value)
			}
			do(append(args, root)...)
			var image struct {
				OCIv1 struct {
					Config struct {
						User         string
						Entrypoint   []string
						ExposedPorts map[string]struct{}
					} `json:"config"`
				}
			}
			must(t, json.Unmarshal([]byte(do("inspect", "--type=image", "localhost/"+name)), &image))
			config := image.OCIv1.Config
			if config.User != "65532:65532" || !slices.Equal(config.Entrypoint, []string{"/bin/program"}) || ports[port(t, service.Command)] != name || len(config.ExposedPorts) != 1 {
				t.Errorf("the image is %+v", config)
			}
			run := slices.Concat(store, []string{"run", "--isolation=chroot"})
			for _, volume := range service.Volumes {
				mode := "rw"
				if volume.ReadOnly {
					mode = "ro"
				}
				run = append(run, "--volume="+volume.Source+":"+volume.Target+":"+mode)
			}
			run = append(run, do("from", "localhost/"+name), "--", config.Entrypoint[0])
			healthy(t, append(run, regexp.MustCompile(`(address=127\.0\.0\.1):\d+`).ReplaceAllString(strings.Join(service.Command, " "), "$1:0")))
		})
	}
}

// port is the one of --web.listen-address.
func port(t *testing.T, command types.ShellCommand) string {
	t.Helper()
	found := regexp.MustCompile(`--web\.listen-address=127\.0\.0\.1:(\d+)`).FindStringSubmatch(strings.Join(command, " "))
	if found == nil {
		t.Fatalf("no port in %q", command)
	}
	return found[1]
}

// healthy starts a container, whose last word is split, and asks it for its health.
func healthy(t *testing.T, args []string) {
	t.Helper()
	args = append(args[:len(args)-1], strings.Fields(args[len(args)-1])...)
	said := &log{}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has children of its own
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	must(t, stack.Await(t.Context(), 30*time.Second, "it is healthy", func() error {
		address := regexp.MustCompile(`"Listening on" address=(\S+)`).FindStringSubmatch(said.String())
		if address == nil {
			return errors.New(said.String())
		}
		_, err := ask(t, http.MethodGet, "http://"+address[1]+"/-/healthy", nil)
		return err
	}))
}
