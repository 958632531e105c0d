// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/etcdops/etcdops/test/etcdbin"
)

// process is a member that runs as a process of its own, in a process group of
// its own: a Ctrl-C on the terminal reaches the lab first.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func startProcess(s settings, spawner *spawner) (runner, error) {
	log, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	// No context ends it: a member outlives the call that starts it.
	cmd := &exec.Cmd{
		Path: s.binary, Args: slices.Concat([]string{s.binary}, s.flags(), s.args),
		Dir: filepath.Dir(s.dataDir), Env: s.environment(os.Environ()),
		Stdout: log, Stderr: log, SysProcAttr: childAttributes(),
	}
	if err := spawner.start(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // how it ended is in its log
	}()
	return p, nil
}

// flags are the command line of a member.
func (s settings) flags() []string {
	flags := []string{
		"--name=" + s.name,
		"--data-dir=" + s.dataDir,
		"--listen-client-urls=" + s.clientURL,
		"--advertise-client-urls=" + strings.Join(s.advertise, ","),
		"--listen-peer-urls=" + s.peerURL,
		"--initial-advertise-peer-urls=" + s.peerURL,
		"--initial-cluster=" + s.initialCluster,
		"--initial-cluster-state=" + s.state,
		"--initial-cluster-token=" + s.token,
		fmt.Sprintf("--heartbeat-interval=%d", s.heartbeat.Milliseconds()),
		fmt.Sprintf("--election-timeout=%d", s.election.Milliseconds()),
		"--strict-reconfig-check=false", // else a young cluster refuses new members for 5 s
		"--logger=zap",
		"--bcrypt-cost=4", // the least: signing in need not be slow here
		"--log-outputs=stderr",
	}
	if s.httpURL != s.clientURL {
		flags = append(flags, "--listen-client-http-urls="+s.httpURL)
	}
	if s.quota != 0 {
		flags = append(flags, fmt.Sprintf("--quota-backend-bytes=%d", s.quota))
	}
	if s.noFsync && !strings.HasPrefix(s.version, "3.4.") {
		flags = append(flags, "--unsafe-no-fsync")
	}
	if s.tls == Plain {
		return flags
	}
	flags = append(flags, "--cert-file="+s.serverCert, "--key-file="+s.serverKey,
		"--peer-cert-file="+s.peerCert, "--peer-key-file="+s.peerKey,
		"--peer-trusted-ca-file="+s.caFile, "--peer-client-cert-auth")
	if s.tls == MTLS {
		flags = append(flags, "--trusted-ca-file="+s.caFile, "--client-cert-auth")
	}
	return flags
}

// environment keeps what is not etcd's own configuration.
func (s settings) environment(from []string) []string {
	var env []string
	for _, entry := range from {
		if !strings.HasPrefix(entry, "ETCD_") {
			env = append(env, entry)
		}
	}
	if s.skew != 0 {
		env = append(env, fmt.Sprintf("%s=%.9f", etcdbin.SkewEnv, s.skew.Seconds()))
	}
	if runtime.GOARCH != "amd64" { // 3.4 wants to be asked for on others
		env = append(env, "ETCD_UNSUPPORTED_ARCH="+runtime.GOARCH)
	}
	return env
}

func (p *process) done() <-chan struct{} { return p.ended }

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) kill() error {
	err := p.signal(syscall.SIGKILL)
	<-p.ended
	return err
}

func (p *process) stop(ctx context.Context) error {
	// A paused process would not see the request.
	err := errors.Join(p.signal(syscall.SIGTERM), p.signal(syscall.SIGCONT))
	select {
	case <-p.ended:
		return err
	case <-ctx.Done():
		return errors.Join(err, p.kill())
	}
}

func (p *process) resume() error { return p.signal(syscall.SIGCONT) }

// signal reaches the whole process group. That it is gone already is no error.
func (p *process) signal(signal syscall.Signal) error {
	select {
	case <-p.ended:
		return nil // its number may be another's by now
	default:
	}
	if err := syscall.Kill(-p.pid(), signal); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
